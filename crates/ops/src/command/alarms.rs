//! `cargo ops alarms`: writes the endpoints' own alarms into the template that the stack nests.

use anyhow::Result;
use wharf_ops::endpoint_alarms;
use wharf_ops::project::Project;

pub fn run(project: &Project) -> Result<()> {
    let endpoints = project.endpoints()?;
    let was_written = endpoint_alarms::write(project, &endpoints)?;
    println!(
        "{} {}",
        endpoint_alarms::PATH,
        if was_written { "is written anew: the next deployment brings it" } else { "is as endpoints.toml says" }
    );
    for endpoint in endpoints.iter() {
        if let Some(count) = endpoint.alarms.refusals {
            println!("  {}: an alarm tells of more than {count} refusals in five minutes", endpoint.name);
        }
        if let Some(hours) = endpoint.alarms.silence_hours {
            println!("  {}: an alarm tells if nothing was accepted for {hours} hours", endpoint.name);
        }
    }
    if endpoints.iter().all(|endpoint| endpoint.alarms == Default::default()) {
        println!("no endpoint has `alarm_refusals` or `alarm_silence_hours`, and so none has an alarm of its own");
    }
    Ok(())
}
