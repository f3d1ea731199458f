//! Bodies that come compressed, and were signed before they were.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use http::header::CONTENT_ENCODING;

use crate::limits::BODY_BYTES_MAX;
use crate::refusal::Refusal;
use crate::request::Request;

/// The body without its `Content-Encoding`, `gzip` or `deflate`; `None` if it has none. Not a byte more than a body may have is
/// made of it, however small it came.
///
/// # Errors
/// [`Refusal::BodyUnreadable`].
pub(crate) fn decompressed(request: &Request<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    let unreadable = |problem| Err(Refusal::BodyUnreadable { problem });
    let encodings: Vec<&[u8]> =
        request.headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes()).collect();
    let body = match encodings[..] {
        [] => return Ok(None),
        [encoding] if encoding.eq_ignore_ascii_case(b"identity") => return Ok(None),
        [encoding] if encoding.eq_ignore_ascii_case(b"gzip") => read(GzDecoder::new(request.body)),
        [encoding] if encoding.eq_ignore_ascii_case(b"deflate") => read(ZlibDecoder::new(request.body)),
        _ => return unreadable("its Content-Encoding is neither gzip nor deflate"),
    };
    match body {
        Some(body) if body.len() > BODY_BYTES_MAX => unreadable("decompressed, it is larger than a body may be"),
        Some(body) => Ok(Some(body)),
        None => unreadable(
            "it is not what its Content-Encoding says. API Gateway hands on JSON and text as text, and so destroys what is \
             compressed: have it sent as application/octet-stream, or uncompressed",
        ),
    }
}

fn read(decoder: impl Read) -> Option<Vec<u8>> {
    let bound = u64::try_from(BODY_BYTES_MAX).ok()? + 1;
    let mut body = Vec::new();
    decoder.take(bound).read_to_end(&mut body).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use http::HeaderMap;

    use super::*;

    fn judged(encoding: Option<&'static str>, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let headers: HeaderMap =
            encoding.map(|encoding| (CONTENT_ENCODING, encoding.parse().unwrap())).into_iter().collect();
        decompressed(&Request { method: "POST", url: "https://h.example/", headers: &headers, body })
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_read_and_what_is_not_stays() {
        assert_eq!(judged(None, b"{}"), Ok(None));
        assert_eq!(judged(Some("identity"), b"{}"), Ok(None));
        assert_eq!(judged(Some("GZIP"), &gzip(b"{}")), Ok(Some(b"{}".to_vec())));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"{}").unwrap();
        assert_eq!(judged(Some("deflate"), &zlib.finish().unwrap()), Ok(Some(b"{}".to_vec())));
        for (encoding, body) in [("br", &b"{}"[..]), ("gzip, gzip", b"{}"), ("gzip", b"{}"), ("gzip", b"")] {
            assert!(judged(Some(encoding), body).is_err(), "{encoding}");
        }
    }

    #[test]
    fn a_body_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
        let largest = vec![b' '; 6 * 1024 * 1024];
        assert_eq!(judged(Some("gzip"), &gzip(&largest)), Ok(Some(largest)));
        let problem = "decompressed, it is larger than a body may be";
        let larger = gzip(&vec![b' '; 6 * 1024 * 1024 + 1]);
        assert_eq!(judged(Some("gzip"), &larger), Err(Refusal::BodyUnreadable { problem }));
        let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
        assert_eq!(judged(Some("gzip"), &bomb), Err(Refusal::BodyUnreadable { problem }));
    }
}
