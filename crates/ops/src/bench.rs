//! What the functions take: each binary, as it is deployed, as a process under a Runtime API of its own, with stand-ins for
//! the services on loopback.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`server`] | HTTP on a port of this machine, plain or over TLS |
//! | [`certificate`] | who vouches for it |
//! | [`services`] | stand-ins for SQS, SSM, DynamoDB, S3 and EventBridge |
//! | [`runtime_api`] | Lambda's Runtime API for one process |
//! | [`work`] | what functions are given to do |
//! | [`subject`] | a process that is measured |
//! | [`functions`] | our functions as such |
//! | [`peers`] | the same job, as others would write it |
//! | [`figures`] | time, processor and memory, of subjects that take turns |
//! | [`instructions`] | instructions, counted by callgrind |
//! | [`gate`] | the limits that CI holds them to |
//! | [`growth`] | what more and larger events cost |
//! | [`chart`] | that, drawn |
//! | [`machine`] | where it was measured |

pub mod server;
pub mod certificate;
pub mod services;
pub mod runtime_api;
pub mod work;
pub mod subject;
pub mod functions;
pub mod peers;
pub mod figures;
pub mod instructions;
pub mod gate;
pub mod growth;
pub mod chart;
pub mod machine;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use wharf_webhook::clock::UnixMillis;

use self::certificate::Authority;
use self::functions::TrustFiles;
use self::services::{Behaviour, Ledger};
use self::work::{SECRET, Work};
use crate::project::Project;

/// All that a run needs beside its subjects.
#[derive(Debug)]
pub struct Bench {
    /// Where its files are.
    pub folder: PathBuf,
    /// Who vouches for the services.
    pub authority: Authority,
    /// How subjects are told.
    pub trust: TrustFiles,
    /// What they are given to do.
    pub work: Work,
}

impl Bench {
    /// Set up in `target/ops/bench`.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn new(project: &Project, now: UnixMillis) -> Result<Bench> {
        let folder = project.made("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let authority = Authority::new()?;
        let trust = TrustFiles::write(project, &folder, &authority)?;
        Ok(Bench { trust, authority, work: Work::new(project, now)?, folder })
    }

    /// Services that speak TLS, as AWS's do, and answer at once; nobody has seen any event.
    pub fn behaviour(&self) -> Behaviour {
        Behaviour { tls: Some(self.authority.server.clone()), ..self.plain() }
    }

    /// The same without TLS.
    pub fn plain(&self) -> Behaviour {
        Behaviour {
            tls: None,
            secret: SECRET.to_owned(),
            ledger: Ledger::Vacant,
            ledger_latency: Duration::ZERO,
            queue: None,
        }
    }
}
