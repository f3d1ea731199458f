//! AWS's partitions: which names of regions and of hosts belong together.
//!
//! This is the one list for all code. The source is `partitions.json`, which every SDK of AWS has (of botocore, read on
//! 2026-11-27).

/// A part of AWS with accounts, regions and host names of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name in ARNs: `aws-cn`.
    pub name: &'static str,
    /// The beginning of its regions' names: `cn-`. Empty: every region of no other partition.
    region_prefix: &'static str,
    /// The end of its hosts' names: `amazonaws.com.cn`.
    pub suffix: &'static str,
}

/// All partitions; the one for all other regions is the last.
pub static PARTITIONS: [Partition; 8] = [
    Partition { name: "aws-cn", region_prefix: "cn-", suffix: "amazonaws.com.cn" },
    Partition { name: "aws-eusc", region_prefix: "eusc-", suffix: "amazonaws.eu" },
    Partition { name: "aws-us-gov", region_prefix: "us-gov-", suffix: "amazonaws.com" },
    Partition { name: "aws-iso", region_prefix: "us-iso-", suffix: "c2s.ic.gov" },
    Partition { name: "aws-iso-b", region_prefix: "us-isob-", suffix: "sc2s.sgov.gov" },
    Partition { name: "aws-iso-e", region_prefix: "eu-isoe-", suffix: "cloud.adc-e.uk" },
    Partition { name: "aws-iso-f", region_prefix: "us-isof-", suffix: "csp.hci.ic.gov" },
    Partition { name: "aws", region_prefix: "", suffix: "amazonaws.com" },
];

impl Partition {
    /// The partition of a region; `None` if this cannot be a region's name.
    pub fn of_region(region: &str) -> Option<&'static Partition> {
        let partition = PARTITIONS.iter().find(|partition| region.starts_with(partition.region_prefix))?;
        is_region(region).then_some(partition)
    }
}

/// A host of a service in a region: `sqs.eu-central-1.amazonaws.com`. A name that is no region's counts as one of `aws`.
pub fn host(service: &str, region: &str) -> String {
    let suffix = Partition::of_region(region).map_or("amazonaws.com", |partition| partition.suffix);
    format!("{service}.{region}.{suffix}")
}

/// The region of a host of this service; `None` if it is no such host.
pub fn region_of_host<'h>(service: &str, host: &'h str) -> Option<&'h str> {
    let (named, rest) = host.split_once('.')?;
    let (region, suffix) = rest.split_once('.')?;
    let partition = Partition::of_region(region)?;
    (named == service && suffix == partition.suffix).then_some(region)
}

/// Letters, then words, then a number: `us-gov-west-1`. So no name within `amazonaws.com` that a customer of AWS may choose
/// looks like a region: a bucket called `sns` was reachable as `sns.s3-eu-west-1.amazonaws.com`.
fn is_region(name: &str) -> bool {
    let is_word = |part: &str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((words, number)) = name.rsplit_once('-') else { return false };
    words.contains('-') && words.split('-').all(is_word) && is_number(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_belongs_to_one_partition() {
        let name = |region| Partition::of_region(region).map(|partition| partition.name);
        let cases = [
            ("eu-central-1", "aws"),
            ("ap-northeast-3", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
        ];
        for (region, partition) in cases {
            assert_eq!(name(region), Some(partition), "{region}");
        }
        for text in
            ["", "s3", "s3-eu-west-1", "eu-west", "eu-1", "eu--1", "EU-WEST-1", "eu-west-1a", "eu.west-1", "é-west-1"]
        {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_ends_as_its_regions_partition_says() {
        let cases = [
            ("eu-central-1", "sns.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "sns.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "sns.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sns.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "sns.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "sns.us-isof-south-1.csp.hci.ic.gov"),
        ];
        for (region, expected) in cases {
            assert_eq!(host("sns", region), expected);
            assert_eq!(region_of_host("sns", expected), Some(region));
            assert_eq!(region_of_host("sqs", expected), None);
        }
        assert_eq!(host("sns", "nowhere"), "sns.nowhere.amazonaws.com");
        for elsewhere in [
            "sns.cn-north-1.amazonaws.com",
            "sns.eu-central-1.amazonaws.com.cn",
            "sns.eusc-de-east-1.amazonaws.com",
            "sns.eu-central-1.amazonaws.eu",
            "sns.eu-central-1.amazonaws.com.evil.example",
            "sns.s3-eu-west-1.amazonaws.com",
            "sns.s3.amazonaws.com",
            "sns.amazonaws.com",
            "amazonaws.com",
            "",
        ] {
            assert_eq!(region_of_host("sns", elsewhere), None, "{elsewhere:?}");
        }
    }
}
