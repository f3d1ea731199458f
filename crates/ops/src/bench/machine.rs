//! Where figures were measured: they hold for nothing else.

use std::process::Command;

use serde::Serialize;

/// A machine and its compiler.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// As it names itself.
    pub processor: String,
    /// How many of its processors there are for us.
    pub processors: usize,
    /// `x86_64`
    pub architecture: &'static str,
    /// `rustc 1.95.0 (59807616e 2026-04-14)`
    pub compiler: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let compiler = Command::new("rustc").arg("--version").output();
        let compiler = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Machine {
            processor: name.map_or("an unnamed processor", |(_, name)| name.trim()).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            architecture: std::env::consts::ARCH,
            compiler: compiler.unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { processor, processors, architecture, compiler } = self;
        write!(formatter, "{processors} x {processor}, {architecture}, {compiler}")
    }
}
