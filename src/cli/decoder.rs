//! `fedbench decoder`: the decoder of a backbone, for clients who train through it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use line::{Address, Listener, Security};
use schema::Experiment;
use schema::experiment::BackboneConfig;

use super::arguments::Protection;
use super::{note, say};
use crate::session::Session;

/// A backbone's decoder, served.
#[derive(Args)]
pub(crate) struct Decoder {
    /// Whose decoder: a backbone's name or folder. Of its weights no others are read.
    #[arg(long)]
    backbone: String,
    /// Where weights lie that the backbone asks for.
    #[arg(long)]
    weights: Option<String>,
    /// Where to listen: `tcp://HOST:PORT` (this machine alone), `tls://HOST:PORT` or `unix:PATH`; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS")]
    listen: Address,
    #[command(flatten)]
    protection: Protection,
    /// How weights are held: f32, bf16 or f16; callers must hold theirs so, too.
    #[arg(long)]
    dtype: Option<String>,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// End when everybody who called is gone.
    #[arg(long)]
    once: bool,
}

impl Decoder {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let Self { backbone: name, weights, listen, protection, dtype, device, once } = self;
        let backbone = session.decoder(&BackboneConfig { name, device, dtype, weights, ..BackboneConfig::default() })?;
        let listener = Listener::bind(&listen, &protection.security())?;
        say(&format!("decoder of {}: {}", backbone.spec().name, listener.address()));
        Ok(decoder::serve(backbone, listener, rayon::current_num_threads(), once, &note)?)
    }
}

/// A decoder elsewhere, through which clients train.
#[derive(Args)]
pub(crate) struct Elsewhere {
    /// Where a `fedbench decoder` listens: clients train through it, and this process reads no weights of the decoder. Changes no number
    /// (federation.decoder).
    #[arg(long, value_name = "ADDRESS")]
    decoder: Option<String>,
    /// A folder with ca.pem, cert.pem and key.pem, for a decoder at tls://.
    #[arg(long, value_name = "DIR")]
    decoder_tls: Option<PathBuf>,
    /// A file with the decoder's token.
    #[arg(long, value_name = "FILE")]
    decoder_token: Option<PathBuf>,
}

impl Elsewhere {
    /// Tells an experiment where its decoder is, and a session what protects the line there.
    pub(super) fn apply(self, experiment: &mut Experiment, session: &mut Session) {
        experiment.federation.decoder = self.decoder.or(experiment.federation.decoder.take());
        session.decoder_security = Security { tls: self.decoder_tls, token: self.decoder_token };
    }
}
