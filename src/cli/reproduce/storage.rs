//! `fedbench reproduce storage`: what clients store and send, from shapes alone.

use anyhow::Result;
use clap::{Args, ValueEnum};
use federation::Placement;
use models::adapter::AdapterSpec;
use models::sites::PROJECTIONS;
use models::{self, Spec};
use schema::experiment::AdapterConfig;
use serde::Serialize;
use study::parameters::{ClientParameters, client_parameters};

use super::super::{say, say_json};

/// FedNano's storage and communication on LLaVA-1.5-7B and MiniGPT-4, exactly, from shapes alone.
#[derive(Args)]
pub(crate) struct Storage {
    /// How to print it.
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Md,
    Json,
}

/// The paper's backbones.
const BACKBONES: [&str; 2] = [models::llava::LLAVA_7B, models::minigpt4::MINIGPT4_7B];

/// The paper's rank, of NanoAdapters and of the LoRA it is compared with.
const RANK: usize = 64;

/// What a backbone's clients store and send.
#[derive(Serialize)]
struct Sizes {
    backbone: String,
    model: u64,
    components: models::ComponentParameters,
    nano_adapters: u64,
    nano_edge: ClientParameters,
    nano_upload: ClientParameters,
    lora: u64,
    lora_with_connector: u64,
}

impl Sizes {
    fn new(name: &str) -> Result<Self> {
        let spec = models::spec(name)?;
        let (nano, lora) = (adapter("nano", None, &spec)?, adapter("lora", Some(&PROJECTIONS), &spec)?);
        let adapters = nano.parameters();
        Ok(Self {
            backbone: name.into(),
            model: spec.parameters.total(),
            components: spec.parameters,
            nano_adapters: adapters,
            nano_edge: client_parameters(&spec, &nano, Placement::Split),
            // What the paper does not count: the Fisher that goes up with the adapters.
            nano_upload: ClientParameters { paper: adapters, deployed: 2 * adapters },
            lora: lora.parameters(),
            lora_with_connector: lora.parameters() + spec.parameters.connector,
        })
    }

    fn claims(&self) -> Vec<Claim> {
        let of = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
        let claim = |claim, source, published, [paper, deployed]: [f64; 2], holds: fn(f64, f64) -> bool| Claim {
            backbone: self.backbone.clone(),
            claim,
            source,
            published,
            paper,
            deployed,
            verdicts: [paper, deployed].map(|found| if holds(found, published) { "holds" } else { "does not hold" }),
        };
        let both = |counts: ClientParameters, whole: u64| [of(counts.paper, whole), of(counts.deployed, whole)];
        vec![
            claim(
                "client storage, less than the whole model by at least (%)",
                ABSTRACT,
                95.0,
                both(self.nano_edge, self.model).map(|share| 100.0 - share),
                |found, published| found >= published,
            ),
            claim(
                "a client's upload, of the model's parameters (%, to two decimals, not rounded up)",
                ABSTRACT,
                0.01,
                both(self.nano_upload, self.model),
                |found, published| (100.0 * found).floor() <= (100.0 * published).round(),
            ),
            claim(
                "a client's upload, less than LoRA's (r = 64 at all projections, and the whole connector) by (%, to one decimal)",
                "FedNano's public reviews",
                99.4,
                both(self.nano_upload, self.lora_with_connector).map(|share| 100.0 - share),
                |found, published| (10.0 * found).round() >= (10.0 * published).round(),
            ),
        ]
    }
}

const ABSTRACT: &str = "FedNano, arXiv 2506.14824, abstract";

fn adapter(kind: &str, sites: Option<&[&str]>, spec: &Spec) -> models::Result<AdapterSpec> {
    let sites = sites.map(|sites| sites.iter().map(|&site| site.into()).collect());
    AdapterSpec::resolve(
        &AdapterConfig { kind: Some(kind.into()), rank: Some(RANK), sites, ..AdapterConfig::default() },
        kind,
        spec,
    )
}

/// A published number and ours, in percent, by the paper's ledger and by a deployment's.
#[derive(Serialize)]
struct Claim {
    backbone: String,
    claim: &'static str,
    source: &'static str,
    published: f64,
    paper: f64,
    deployed: f64,
    verdicts: [&'static str; 2],
}

impl Storage {
    pub(super) fn run(self) -> Result<()> {
        let sizes = BACKBONES.iter().map(|name| Sizes::new(name)).collect::<Result<Vec<_>>>()?;
        let claims: Vec<Claim> = sizes.iter().flat_map(Sizes::claims).collect();
        match self.format {
            Format::Json => say_json(&serde_json::to_string_pretty(&serde_json::json!({ "sizes": sizes, "claims": claims }))?),
            Format::Md => say(&markdown(&sizes, &claims)),
        }
        Ok(())
    }
}

fn markdown(sizes: &[Sizes], claims: &[Claim]) -> String {
    let header = |columns: &[&str]| format!("| {} |\n|{}", columns.join(" | "), " --- |".repeat(columns.len()));
    let mut lines = vec![header(&["backbone", "what (parameters; ours)", "paper ledger", "deployed ledger"])];
    for of in sizes {
        let share = |count: u64| format!("{count} ({:.3}%)", 100.0 * count as f64 / of.model as f64);
        let row = |what: &str, paper: u64, deployed: u64| {
            format!("| {} | {what} | {} | {} |", of.backbone, share(paper), share(deployed))
        };
        let same = |what: &str, count: u64| row(what, count, count);
        lines.extend([
            same("whole model", of.model),
            same("vision tower", of.components.vision),
            same("connector", of.components.connector),
            same("token embedding", of.components.embedding),
            same("NanoAdapters, r = 64", of.nano_adapters),
            row("a FedNano client stores", of.nano_edge.paper, of.nano_edge.deployed),
            row("a FedNano client uploads in a round", of.nano_upload.paper, of.nano_upload.deployed),
            same("LoRA, r = 64 at all projections", of.lora),
            same("LoRA and the whole connector: such a client's upload", of.lora_with_connector),
        ]);
    }
    lines.push(String::new());
    lines.push(header(&["backbone", "claim", "published", "paper ledger", "deployed ledger", "source"]));
    let ours = |claim: &Claim, found: f64, verdict: &str| format!("{found:.3} ({:+.3}): {verdict}", found - claim.published);
    lines.extend(claims.iter().map(|claim| {
        let [paper, deployed] = [(claim.paper, claim.verdicts[0]), (claim.deployed, claim.verdicts[1])];
        let cells = [
            claim.backbone.clone(),
            claim.claim.into(),
            claim.published.to_string(),
            ours(claim, paper.0, paper.1),
            ours(claim, deployed.0, deployed.1),
            claim.source.into(),
        ];
        format!("| {} |", cells.join(" | "))
    }));
    lines.push(String::new());
    lines.push(
        "Paper ledger: parameters as FedNano's table counts them, tower and NanoAdapters for storage, adapters for the upload. Deployed: \
         connector and token embedding too, and the Fisher that goes up; neither ledger has the hidden states of split training (`fedbench \
         cost`). The published numbers are given for no backbone in particular; which modules they count is not said."
            .into(),
    );
    lines.join("\n")
}
