//! Adapters: the few trained tensors, and how they act on a hidden state.
//!
//! Every adapter here adds something to what it adapts, so one method says it all: [`Adapt::delta`]. NanoAdapters ([`nano`]), LoRA
//! ([`lora`]) and bottlenecks ([`bottleneck`]) are pairs of low-rank matrices ([`low_rank`]) and differ in where they sit and in
//! what lies between the two. That makes sums of adapters adapters again ([`AdapterSpec::mix`]).

pub mod bottleneck;
pub mod fisher;
pub mod lora;
pub mod low_rank;
pub mod nano;
mod set;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use seed::{Seed, Stream};
use serde::Serialize;

pub use low_rank::LowRank;
pub use set::Adapters;

use crate::Error;
use crate::backbone::{SiteSpec, Spec};

/// What adapters add to a hidden state.
pub trait Adapt: Send + Sync {
    /// What is added at `site` for `input` `[b, t, d_in]`: `[b, t, d_out]`, or nothing where the site is not adapted.
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>>;

    /// What it is that [`Adapt::delta`] adds there. An adapter that does not tell is served all the same, more slowly.
    fn form(&self, site: &str) -> Form<'_> {
        let _ = site;
        Form::Opaque
    }
}

/// What an adapter adds at a site, for a decoder that does it in one go with the rest.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// Nothing.
    Nothing,
    /// `scale * (x down^T) up^T`, the same for all examples.
    Pair {
        /// `[r, in]`.
        down: &'a Tensor,
        /// `[out, r]`.
        up: &'a Tensor,
        /// alpha / r.
        scale: f64,
    },
    /// Only `delta` knows.
    Opaque,
}

/// The untouched backbone.
#[derive(Debug, Clone, Copy)]
pub struct Untouched;

impl Adapt for Untouched {
    fn delta(&self, _site: &str, _input: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn form(&self, _site: &str) -> Form<'_> {
        Form::Nothing
    }
}

/// A row of the table of adapter kinds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AdapterKind {
    /// The name a config uses.
    pub name: &'static str,
    /// The rank without one in the config.
    pub rank: Rank,
    /// Alpha without one in the config, as a multiple of the rank.
    pub alpha_over_rank: f64,
    /// The sites (by group) without any in the config.
    pub sites: &'static [&'static str],
    /// The groups it may attach to.
    pub allowed: &'static [&'static str],
    /// Names of the matrix that goes down to the rank, and of the one that comes back up.
    pub names: [&'static str; 2],
    /// Names of their biases, where there are some; then a ReLU lies between the matrices.
    pub biases: Option<[&'static str; 2]>,
}

/// An adapter kind's default rank.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// This.
    Fixed(usize),
    /// The decoder's width over this: a bottleneck's reduction factor.
    WidthOver(usize),
}

impl Rank {
    fn at(self, width: usize) -> usize {
        match self {
            Self::Fixed(rank) => rank,
            Self::WidthOver(reduction) => (width / reduction).max(1),
        }
    }
}

/// The adapter kinds there are.
pub const KINDS: &[AdapterKind] = &[nano::KIND, lora::KIND, bottleneck::KIND];

/// The name, behind a site's, of a full matrix `[d_out, d_in]` that a method has merged into the frozen weights there.
const BASE: &str = "base";

/// The kind of this name.
pub fn kind(name: &str) -> crate::Result<&'static AdapterKind> {
    KINDS
        .iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| Error::unknown("adapter.kind", name, KINDS.iter().map(|kind| kind.name)))
}

/// Adapters resolved against a backbone: kind, rank, scale and sites, no tensors yet.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterSpec {
    /// The kind.
    pub kind: &'static AdapterKind,
    /// The rank r.
    pub rank: usize,
    /// The numerator of the scale alpha / r.
    pub alpha: f64,
    /// Where they attach.
    pub sites: Vec<SiteSpec>,
}

impl AdapterSpec {
    /// Resolves a config; `default_kind` is the method's own.
    pub fn resolve(config: &schema::experiment::AdapterConfig, default_kind: &str, backbone: &Spec) -> crate::Result<Self> {
        let kind = kind(config.kind.as_deref().unwrap_or(default_kind))?;
        let rank = config.rank.unwrap_or(kind.rank.at(backbone.d_model));
        if rank == 0 || rank > backbone.d_model {
            return Err(Error::Usage(format!(
                "adapter.rank = {rank}: expected 1..={} for backbone `{}`",
                backbone.d_model, backbone.name
            )));
        }
        let groups: Vec<String> = config.sites.clone().unwrap_or_else(|| kind.sites.iter().map(|&site| site.into()).collect());
        if groups.is_empty() {
            return Err(Error::Usage(format!("adapter.sites is empty: expected some of {}", kind.allowed.join(", "))));
        }
        if let Some(unknown) = groups.iter().find(|group| !kind.allowed.contains(&group.as_str())) {
            return Err(Error::unknown(
                &format!("site of adapter.kind = \"{}\"", kind.name),
                unknown,
                kind.allowed.iter().copied(),
            ));
        }
        let sites = backbone.sites.iter().filter(|site| groups.contains(&site.group)).cloned().collect();
        Ok(Self { kind, rank, alpha: config.alpha.unwrap_or(kind.alpha_over_rank * rank as f64), sites })
    }

    /// The same as a config with every key given.
    pub fn config(&self) -> schema::experiment::AdapterConfig {
        let mut groups: Vec<String> = Vec::new();
        for site in &self.sites {
            if !groups.contains(&site.group) {
                groups.push(site.group.clone());
            }
        }
        schema::experiment::AdapterConfig {
            kind: Some(self.kind.name.into()),
            rank: Some(self.rank),
            alpha: Some(self.alpha),
            sites: Some(groups),
        }
    }

    /// alpha / r.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Trainable parameters.
    pub fn parameters(&self) -> u64 {
        let biases = |site: &SiteSpec| if self.kind.biases.is_some() { self.rank + site.d_out } else { 0 };
        self.sites.iter().map(|site| (self.rank * (site.d_in + site.d_out) + biases(site)) as u64).sum()
    }

    /// Whether every site lies before the decoder, so that clients can leave the LLM on the server.
    pub fn is_split(&self) -> bool {
        self.sites.iter().all(|site| site.before_decoder)
    }

    /// Fresh adapters: down uniform in ±1/sqrt(d_in) (Kaiming with a = sqrt 5, as LoRA's reference code draws A), up and biases
    /// zero, so that they start as the backbone itself.
    pub fn init(&self, seed: Seed, dtype: DType, device: &Device) -> Result<Adapters> {
        self.draw(&mut seed.stream("adapters"), dtype, device)
    }

    /// As [`AdapterSpec::init`], drawn from a stream.
    pub fn draw(&self, stream: &mut Stream, dtype: DType, device: &Device) -> Result<Adapters> {
        let mut adapters = Adapters::default();
        for site in &self.sites {
            let bound = 1.0 / (site.d_in as f64).sqrt();
            let down: Vec<f64> = (0..self.rank * site.d_in).map(|_| stream.range(-bound, bound)).collect();
            let down = Tensor::from_vec(down, (self.rank, site.d_in), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
            let [down_name, up_name] = self.names(site);
            adapters.insert(down_name, down);
            adapters.insert(up_name, Tensor::zeros((site.d_out, self.rank), dtype, device)?);
            if let Some([of_down, of_up]) = self.bias_names(site) {
                adapters.insert(of_down, Tensor::zeros(self.rank, dtype, device)?);
                adapters.insert(of_up, Tensor::zeros(site.d_out, dtype, device)?);
            }
        }
        Ok(adapters)
    }

    /// The matrices of a site by name: `<site>.down`, `<site>.up`.
    pub fn names(&self, site: &SiteSpec) -> [String; 2] {
        self.kind.names.map(|name| format!("{}.{name}", site.name))
    }

    /// The biases of a site by name, where the kind has some.
    pub fn bias_names(&self, site: &SiteSpec) -> Option<[String; 2]> {
        self.kind.biases.map(|names| names.map(|name| format!("{}.{name}", site.name)))
    }

    /// The first of these tensors that no site asks for, or that is of another shape than its site's; with unequal ranks, a pair may
    /// have any rank.
    pub fn misfit(&self, adapters: &Adapters, unequal_ranks: bool) -> Option<String> {
        let shapes: BTreeMap<String, Vec<Option<usize>>> = self.sites.iter().flat_map(|site| self.shapes(site)).collect();
        let fits = |name: &str, tensor: &Tensor| {
            shapes.get(name).is_some_and(|shape| {
                let rank = if unequal_ranks { None } else { Some(self.rank) };
                let wanted = |wanted: &Option<usize>, found: &usize| wanted.or(rank).is_none_or(|wanted| wanted == *found);
                shape.len() == tensor.rank() && shape.iter().zip(tensor.dims()).all(|(side, found)| wanted(side, found))
            })
        };
        adapters.iter().find(|(name, tensor)| !fits(name, tensor)).map(|(name, tensor)| format!("{name} {:?}", tensor.dims()))
    }

    /// The tensors of a site and their shapes, a rank where it says nothing.
    fn shapes(&self, site: &SiteSpec) -> Vec<(String, Vec<Option<usize>>)> {
        let [down, up] = self.names(site);
        let mut shapes = vec![(down, vec![None, Some(site.d_in)]), (up, vec![Some(site.d_out), None])];
        if let Some([of_down, of_up]) = self.bias_names(site) {
            shapes.extend([(of_down, vec![None]), (of_up, vec![Some(site.d_out)])]);
        }
        shapes
    }

    /// The name of what has been merged into a site's frozen weight.
    pub fn base_name(site: &SiteSpec) -> String {
        format!("{}.{BASE}", site.name)
    }

    /// Adapters at work; sites that the set does not hold stay untouched. The rank is the tensors' own; the scale is alpha / r of
    /// this specification whatever it is.
    pub fn attach(&self, adapters: &Adapters) -> Result<LowRank> {
        let mut attached = LowRank::new(self.scale());
        for site in &self.sites {
            let [down, up] = self.names(site);
            let pair = adapters.get(&down).zip(adapters.get(&up)).map(|(down, up)| (down.clone(), up.clone()));
            let pair = match adapters.get(&Self::base_name(site)) {
                Some(base) => Some(self.with_base(pair, base)?),
                None => pair,
            };
            let biases = self.bias_names(site).and_then(|[of_down, of_up]| adapters.get(&of_down).zip(adapters.get(&of_up)));
            match (pair, biases) {
                (Some((down, up)), Some((of_down, of_up))) => {
                    attached.add_bottleneck(&site.name, down, up, [of_down.clone(), of_up.clone()]);
                }
                (Some((down, up)), None) => attached.add(&site.name, down, up),
                (None, _) => {}
            }
        }
        Ok(attached)
    }

    /// A pair that also adds `base x`: `[down; base]` and `[up, 1 / scale]`.
    fn with_base(&self, pair: Option<(Tensor, Tensor)>, base: &Tensor) -> Result<(Tensor, Tensor)> {
        let one = (Tensor::eye(base.dim(0)?, base.dtype(), base.device())? / self.scale())?;
        match pair {
            Some((down, up)) => Ok((Tensor::cat(&[&down, base], 0)?, Tensor::cat(&[&up, &one], 1)?)),
            None => Ok((base.clone(), one)),
        }
    }

    /// Adapters that add `sum_i w_i A_i(x)` at every site: ranks side by side, what comes back up weighted. Exact for all kinds,
    /// since nothing follows the matrix that comes back up.
    pub fn mix(&self, parts: &[(f64, &Adapters)]) -> Result<Adapters> {
        let gather = |name: &str| -> Result<Vec<(f64, Tensor)>> {
            let part = |(weight, set): &(f64, &Adapters)| match set.get(name) {
                Some(tensor) => Ok((*weight, tensor.clone())),
                None => candle_core::bail!("adapters without `{name}` cannot be mixed"),
            };
            parts.iter().map(part).collect()
        };
        let side_by_side = |name: &str| Tensor::cat(&gather(name)?.into_iter().map(|(_, x)| x).collect::<Vec<_>>(), 0);
        let weighted = |name: &str| gather(name)?.into_iter().map(|(weight, x)| x * weight).collect::<Result<Vec<_>>>();
        let mut mixed = Adapters::default();
        for site in &self.sites {
            let [down, up] = self.names(site);
            mixed.insert(up.clone(), Tensor::cat(&weighted(&up)?, 1)?);
            mixed.insert(down.clone(), side_by_side(&down)?);
            if let Some([of_down, of_up]) = self.bias_names(site) {
                mixed.insert(of_up.clone(), Tensor::stack(&weighted(&of_up)?, 0)?.sum(0)?);
                mixed.insert(of_down.clone(), side_by_side(&of_down)?);
            }
        }
        Ok(mixed)
    }
}
