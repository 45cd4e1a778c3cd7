//! `fedbench reproduce`: a paper's claims, each beside what comes out here.

mod storage;
mod study;

use anyhow::Result;
use clap::Subcommand;

use crate::session::Session;

/// A paper's claims, each beside what comes out here.
#[derive(Subcommand)]
pub(crate) enum Reproduce {
    /// FedNano's storage and communication on LLaVA-1.5-7B and MiniGPT-4, exactly, from shapes alone.
    Storage(storage::Storage),
    /// FedNano against earlier federated methods, tuning alone and pooling.
    MainTable(study::Reproduction),
    /// The same with as many trained parameters in every row.
    MainTableEqual(study::Reproduction),
    /// Placement at equal parameters, Fisher merging, federating: contrasts registered before the runs.
    Placement(study::Reproduction),
    /// What Fisher merging adds over averaging: sites, ranks, heterogeneity.
    AblationFisher(study::Reproduction),
    /// FedNano from clients that share little to clients that share most.
    Heterogeneity(study::Reproduction),
    /// FedDAT on an encoder that answers by class, one dataset per client: ScienceQA, easy-VQA, TabMWP, PuzzleVQA.
    FeddatDomain(study::Reproduction),
}

impl Reproduce {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Storage(storage) => storage.run(),
            Self::MainTable(study) => study.run(session, "main-table"),
            Self::MainTableEqual(study) => study.run(session, "main-table-equal"),
            Self::Placement(study) => study.run(session, "placement"),
            Self::AblationFisher(study) => study.run(session, "ablation-fisher"),
            Self::Heterogeneity(study) => study.run(session, "heterogeneity"),
            Self::FeddatDomain(study) => study.run(session, "feddat-domain"),
        }
    }
}
