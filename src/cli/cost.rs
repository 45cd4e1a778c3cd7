//! `fedbench cost`: what a client stores, sends and computes, in both ledgers, from shapes alone.

use anyhow::Result;
use clap::{Args, ValueEnum};
use federation::{Placement, Scope};
use models::adapter::{AdapterSpec, Rank};
use models::flops;
use models::{Branch, Sequence, Spec};
use reports::markdown::code;
use schema::experiment::AdapterConfig;
use serde::Serialize;
use study::parameters::{ClientParameters, client_parameters};

use super::{say, say_json};
use crate::session::Session;

/// What a client stores and sends, in both ledgers, without weights.
#[derive(Args)]
pub(crate) struct Cost {
    /// A backbone's name, folder or id on the Hub.
    #[arg(long)]
    backbone: String,
    /// A method's name.
    #[arg(long)]
    method: String,
    /// The kind of adapters; the method's own without it.
    #[arg(long)]
    adapter: Option<String>,
    /// The adapters' rank; 64 on a width of 4096 or more, the kind's default below.
    #[arg(long)]
    rank: Option<usize>,
    /// Where the adapters attach; the kind's default without it.
    #[arg(long, value_delimiter = ',')]
    sites: Option<Vec<String>>,
    /// The number of clients, for methods whose download grows with it.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Text tokens of an example, for the activations of split training.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    text_tokens: u64,
    /// Bytes of a number on the wire and in storage.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=16))]
    bytes_per_number: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value = "md")]
    format: CostFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum CostFormat {
    Md,
    Json,
}

/// Both ledgers.
#[derive(Serialize)]
struct Ledgers {
    backbone: String,
    method: String,
    placement: Placement,
    adapter: String,
    rank: usize,
    model_parameters: u64,
    components: models::ComponentParameters,
    adapter_parameters: u64,
    client_parameters: ClientParameters,
    uploaded_parameters_paper: u64,
    uploaded_parameters_deployed: u64,
    downloaded_parameters: u64,
    activation_uplink_bytes_per_example: u64,
    activation_downlink_bytes_per_example: u64,
    client_train_flops_per_example: f64,
    server_train_flops_per_example: f64,
    image_flops: f64,
    bytes_per_number: u64,
}

impl Cost {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let row = session.registry().choose(&self.method, self.adapter.as_deref())?;
        let folder = crate::hub::find_backbone(&self.backbone)?.map(|found| found.folder().display().to_string());
        let spec = session.registry().backbones().spec(folder.as_deref().unwrap_or(&self.backbone))?;
        let fixed = matches!(row.adapter.rank, Rank::Fixed(_));
        let rank = self.rank.or((fixed && spec.d_model >= 4096).then_some(64));
        let config = AdapterConfig { rank, sites: self.sites.clone(), ..AdapterConfig::default() };
        let adapter = row.resolve(&config, &spec)?;
        let ledgers = self.ledgers(&row, &spec, &adapter);
        match self.format {
            CostFormat::Json => say_json(&serde_json::to_string_pretty(&ledgers)?),
            CostFormat::Md => say(&ledgers.markdown()),
        }
        Ok(())
    }

    fn ledgers(&self, row: &federation::registry::MethodRow, spec: &Spec, adapter: &AdapterSpec) -> Ledgers {
        let placement = row.placement(adapter.is_split());
        let [up, down] = (row.traffic)(adapter, self.clients as usize);
        let hidden = match placement {
            Placement::Split => self.tokens(spec, adapter) as u64 * spec.d_model as u64 * self.bytes_per_number,
            _ => 0,
        };
        let trains = row.scope != Scope::Nothing;
        let trained = if trains { adapter.parameters() } else { 0 };
        let [client_flops, server_flops] = if trains { self.train_flops(row, spec, adapter) } else { [0.0; 2] };
        Ledgers {
            backbone: self.backbone.clone(),
            method: row.name.into(),
            placement,
            adapter: row.adapter.name.into(),
            rank: adapter.rank,
            model_parameters: spec.parameters.total(),
            components: spec.parameters,
            adapter_parameters: trained,
            client_parameters: client_parameters(spec, adapter, placement),
            // The paper counts the adapters alone, whatever else an update holds.
            uploaded_parameters_paper: up.min(adapter.set_parameters()),
            uploaded_parameters_deployed: up,
            downloaded_parameters: down,
            activation_uplink_bytes_per_example: hidden,
            activation_downlink_bytes_per_example: hidden,
            client_train_flops_per_example: client_flops,
            server_train_flops_per_example: server_flops,
            image_flops: spec.image_flops * (spec.picture_tokens() / spec.image_tokens) as f64,
            bytes_per_number: self.bytes_per_number,
        }
    }
}

impl Cost {
    /// Of an example, those that a prompt puts in front included.
    fn tokens(&self, spec: &Spec, adapter: &AdapterSpec) -> usize {
        spec.picture_tokens() + self.text_tokens as usize + adapter.virtual_tokens()
    }

    /// An example with one image and an answer of one token, forward and backward, as often as the method's step does it: clients'
    /// operations, the server's.
    fn train_flops(&self, row: &federation::registry::MethodRow, spec: &Spec, adapter: &AdapterSpec) -> [f64; 2] {
        let tokens = self.tokens(spec, adapter);
        let sequence = Sequence { prefix: vec![0; tokens], images: vec![0], branches: vec![Branch::answer(vec![0])] };
        let [mut both, backward] = flops::passes(&[&sequence], spec, adapter);
        both += backward;
        both.by_side(row.placement(adapter.is_split())).map(|flops| flops * row.compute)
    }
}

impl Ledgers {
    fn markdown(&self) -> String {
        let flops = |n: f64| format!("{n:.3e}");
        let share = |n: u64| format!("{n} ({:.3}%)", 100.0 * n as f64 / self.model_parameters as f64);
        let rows = [
            ("whole model, parameters", self.model_parameters.to_string(), self.model_parameters.to_string()),
            ("trained, parameters", share(self.adapter_parameters), share(self.adapter_parameters)),
            ("a client stores, parameters", share(self.client_parameters.paper), share(self.client_parameters.deployed)),
            (
                "a client uploads in a round, parameters",
                share(self.uploaded_parameters_paper),
                share(self.uploaded_parameters_deployed),
            ),
            ("a client downloads in a round, parameters", share(self.downloaded_parameters), share(self.downloaded_parameters)),
            (
                "hidden states up per example and epoch, bytes",
                "not counted".into(),
                self.activation_uplink_bytes_per_example.to_string(),
            ),
            (
                "gradients down per example and epoch, bytes",
                "not counted".into(),
                self.activation_downlink_bytes_per_example.to_string(),
            ),
            (
                "a client's training per example and epoch, FLOPs",
                "not counted".into(),
                flops(self.client_train_flops_per_example),
            ),
            (
                "the server's training per example and epoch, FLOPs",
                "not counted".into(),
                flops(self.server_train_flops_per_example),
            ),
            ("an image through the tower, once in a run, FLOPs", "not counted".into(), flops(self.image_flops)),
        ];
        let mut lines = vec![
            format!(
                "{} with {} adapters on the backbone {}, rank {}, {} bytes a number",
                code(&self.method),
                code(&self.adapter),
                code(&self.backbone),
                self.rank,
                self.bytes_per_number
            ),
            String::new(),
            "| quantity | paper ledger | deployed ledger |".into(),
            "| --- | ---: | ---: |".into(),
        ];
        lines.extend(rows.into_iter().map(|(name, paper, deployed)| format!("| {name} | {paper} | {deployed} |")));
        lines.join("\n")
    }
}
