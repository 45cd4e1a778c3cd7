//! Adapters resolved against a backbone.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use schema::experiment::Sharing;
use seed::{Seed, Stream};
use serde::Serialize;

use super::kind::{AdapterKind, Shape};
use super::kinds::kind;
use super::{Adapters, Attached, Head, nano, prompt};
use crate::Error;
use crate::sites::{CONNECTOR, SiteSpec, Spec};

/// A tensor of an adapter.
struct Part {
    name: String,
    /// Its sides; the rank where there is none.
    sides: Vec<Option<usize>>,
    /// Drawn uniformly from plus or minus this; zero without it.
    drawn: Option<f64>,
}

/// The name, behind a site's, of a full matrix `[d_out, d_in]` that a method has merged into the frozen weights there.
const BASE: &str = "base";
/// The same of a second pair, and of the router that weighs both.
const SECOND: &str = "second";
const ROUTER: &str = "router";

/// How many times as many parameters are still as many as were asked for.
const NEAR: f64 = 1.5;

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
    /// What is trained beside them, on a backbone that has a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
}

impl AdapterSpec {
    /// Resolves a config that names one of the suite's own kinds, or none; `default_kind` is the method's own.
    pub fn resolve(config: &schema::experiment::AdapterConfig, default_kind: &str, backbone: &Spec) -> crate::Result<Self> {
        Self::of(kind(config.kind.as_deref().unwrap_or(default_kind))?, config, backbone)
    }

    /// Resolves a config of this kind, which it may name.
    pub fn of(kind: &'static AdapterKind, config: &schema::experiment::AdapterConfig, backbone: &Spec) -> crate::Result<Self> {
        if let Some(other) = config.kind.as_deref().filter(|name| *name != kind.name) {
            return Err(Error::Usage(format!("adapter.kind = \"{other}\" where adapters of kind \"{}\" are tuned", kind.name)));
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
        let mut sites: Vec<SiteSpec> = backbone.sites.iter().filter(|site| groups.contains(&site.group)).cloned().collect();
        if sites.is_empty() {
            let hint =
                if backbone.encoder.is_some() { "; adapter kinds `lora` and `bottleneck` attach to an encoder" } else { "" };
            let (name, groups) = (&backbone.name, groups.join(", "));
            return Err(Error::Usage(format!("adapter.sites: backbone `{name}` has no {groups}{hint}")));
        }
        let head = Head::of(backbone, config.head, config.classes)?;
        let rank = Self { kind, rank: 1, alpha: 1.0, sites: sites.clone(), head: head.clone() }.rank_of(config, backbone)?;
        if matches!(kind.shape, Shape::Tokens { .. }) {
            sites.iter_mut().for_each(|site| site.d_in = rank);
        }
        Ok(Self { kind, rank, alpha: config.alpha.unwrap_or(kind.alpha_over_rank * rank as f64), sites, head })
    }

    /// The rank that a config asks for, or of which it asks for so many parameters; the kind's own without either.
    fn rank_of(&self, config: &schema::experiment::AdapterConfig, backbone: &Spec) -> crate::Result<usize> {
        let (kind, most) = (self.kind, backbone.d_model);
        if let Some(parameters) = config.parameters {
            return self.rank_nearest(parameters, config.rank, most).map_err(|why| {
                Error::Usage(format!(
                    "adapter.parameters = {parameters}: {why} (adapter kind `{}`, backbone `{}`)",
                    kind.name, backbone.name
                ))
            });
        }
        let rank = config.rank.unwrap_or(kind.rank.at(most));
        if !kind.has_rank() && rank != 1 {
            let name = kind.name;
            return Err(Error::Usage(format!("adapter.rank = {rank}: adapter kind `{name}` has no rank; leave the key out")));
        }
        if rank == 0 || rank > most {
            return Err(Error::Usage(format!("adapter.rank = {rank}: expected 1..={most} for backbone `{}`", backbone.name)));
        }
        Ok(rank)
    }

    /// The rank, up to `most`, whose parameters come nearest to a number; the lower one of two that come as near. An error where a rank
    /// is given too, and where the nearest is not near: more than half as many again, or fewer than two thirds.
    fn rank_nearest(&self, wanted: u64, given: Option<usize>, most: usize) -> std::result::Result<usize, String> {
        if !self.kind.has_rank() {
            return Err("these adapters have no rank that could be chosen; leave the key out".into());
        }
        if let Some(rank) = given {
            return Err(format!("adapter.rank = {rank} is given, too; expected one of the two keys"));
        }
        let parameters = |rank: usize| Self { rank, ..self.clone() }.parameters();
        let (least, each) = (parameters(1), parameters(2) - parameters(1));
        let below = usize::try_from(wanted.saturating_sub(least) / each.max(1)).unwrap_or(most).min(most - 1) + 1;
        let off = |rank: &usize| parameters(*rank).abs_diff(wanted);
        let rank = [below, (below + 1).min(most)].into_iter().min_by_key(off).unwrap_or(below);
        let found = parameters(rank);
        if found as f64 > NEAR * wanted as f64 || (wanted as f64) > NEAR * found as f64 {
            return Err(format!("the nearest rank, {rank}, has {found}; expected a number from {least} to {}", parameters(most)));
        }
        Ok(rank)
    }

    /// No adapter: of no site, so of any kind.
    pub fn none() -> Self {
        Self { kind: &nano::KIND, rank: 1, alpha: 1.0, sites: Vec::new(), head: None }
    }

    /// The same where data are pooled, or none: there is nobody to keep a head from.
    pub fn pooled(mut self) -> Self {
        self.head.iter_mut().for_each(|head| head.sharing = Sharing::Shared);
        self
    }

    /// The head that each client keeps to itself.
    pub fn private_head(&self) -> Option<&Head> {
        self.head.as_ref().filter(|head| head.sharing == Sharing::Private)
    }

    /// The head that is in every set.
    pub fn shared_head(&self) -> Option<&Head> {
        self.head.as_ref().filter(|head| head.sharing == Sharing::Shared)
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
            parameters: None,
            alpha: Some(self.alpha),
            sites: Some(groups),
            head: self.head.as_ref().map(|head| head.sharing),
            start: None,
            classes: self.head.as_ref().and_then(Head::classes),
        }
    }

    /// alpha / r.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Trainable parameters, a head's among them.
    pub fn parameters(&self) -> u64 {
        self.sites.iter().map(|site| self.parameters_at(site)).sum::<u64>() + self.head.as_ref().map_or(0, Head::parameters)
    }

    /// Those that a set holds: all but a private head's.
    pub fn set_parameters(&self) -> u64 {
        self.parameters() - self.private_head().map_or(0, Head::parameters)
    }

    /// Those at one site.
    pub fn parameters_at(&self, site: &SiteSpec) -> u64 {
        let numbers = |part: Part| part.sides.iter().map(|side| side.unwrap_or(self.rank) as u64).product::<u64>();
        self.parts(site).into_iter().map(numbers).sum()
    }

    /// Whether everything lies before the decoder, so that clients can leave the LLM on the server.
    pub fn is_split(&self) -> bool {
        self.head.is_none() && self.sites.iter().all(|site| site.before_decoder)
    }

    /// Whether one lies at the connector, so that what leaves it cannot be kept.
    pub fn reaches_connector(&self) -> bool {
        self.sites.iter().any(|site| site.group == CONNECTOR)
    }

    /// Embeddings in front of every sequence.
    pub fn virtual_tokens(&self) -> usize {
        if matches!(self.kind.shape, Shape::Tokens { .. }) { self.rank } else { 0 }
    }

    /// Fresh adapters: down uniform in ±1/sqrt(d_in) (Kaiming with a = sqrt 5, as LoRA's reference code draws A), up, biases and
    /// vectors zero, so that they start as the backbone itself (all but a prompt, which is drawn too). A shared head is among them.
    pub fn init(&self, seed: Seed, dtype: DType, device: &Device) -> Result<Adapters> {
        let adapters = self.draw(&mut seed.stream("adapters"), dtype, device)?;
        match self.shared_head() {
            Some(head) => Ok(adapters.with(&head.init(seed, dtype, device)?)),
            None => Ok(adapters),
        }
    }

    /// The private head that every client starts from; nothing without one.
    pub fn init_private(&self, seed: Seed, dtype: DType, device: &Device) -> Result<Adapters> {
        self.private_head().map_or_else(|| Ok(Adapters::default()), |head| head.init(seed, dtype, device))
    }

    /// Adapters alone, drawn from a stream.
    pub fn draw(&self, stream: &mut Stream, dtype: DType, device: &Device) -> Result<Adapters> {
        let mut adapters = Adapters::default();
        for site in &self.sites {
            for Part { name, sides, drawn } in self.parts(site) {
                let shape: Vec<usize> = sides.into_iter().map(|side| side.unwrap_or(self.rank)).collect();
                let tensor = match drawn {
                    Some(bound) => {
                        let numbers: Vec<f64> = (0..shape.iter().product()).map(|_| stream.range(-bound, bound)).collect();
                        Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?
                    }
                    None => Tensor::zeros(shape, dtype, device)?,
                };
                adapters.insert(name, tensor);
            }
        }
        Ok(adapters)
    }

    /// The tensors of a site.
    fn parts(&self, site: &SiteSpec) -> Vec<Part> {
        let part = |name: &str, sides: &[Option<usize>], drawn| {
            let name = format!("{}.{name}", site.name);
            Part { name, sides: sides.to_vec(), drawn }
        };
        let (d_in, d_out) = (Some(site.d_in), Some(site.d_out));
        match self.kind.shape {
            Shape::Pair { names: [down, up], biases } => {
                let bound = 1.0 / (site.d_in as f64).sqrt();
                let mut parts = vec![part(down, &[None, d_in], Some(bound)), part(up, &[d_out, None], None)];
                if let Some([of_down, of_up]) = biases {
                    parts.extend([part(of_down, &[None], None), part(of_up, &[d_out], None)]);
                }
                parts
            }
            Shape::Shift { name } | Shape::Scale { name } => vec![part(name, &[d_out], None)],
            Shape::Tokens { name } => vec![part(name, &[None, d_out], Some(prompt::BOUND))],
        }
    }

    /// The matrices of a site by name, `<site>.down`, `<site>.up`; none where the kind has none.
    pub fn names(&self, site: &SiteSpec) -> Option<[String; 2]> {
        match self.kind.shape {
            Shape::Pair { names, .. } => Some(names.map(|name| format!("{}.{name}", site.name))),
            Shape::Shift { .. } | Shape::Scale { .. } | Shape::Tokens { .. } => None,
        }
    }

    /// The first of these tensors that no site and no shared head asks for, or that is of another shape than there; with unequal ranks,
    /// a pair may have any rank.
    pub fn misfit(&self, adapters: &Adapters, unequal_ranks: bool) -> Option<String> {
        let parts = self.sites.iter().flat_map(|site| self.parts(site)).map(|part| (part.name, part.sides));
        let fixed = |(name, shape): (String, &[usize])| (name, shape.iter().copied().map(Some).collect());
        let head = self.shared_head().into_iter().flat_map(Head::shapes).map(fixed);
        let shapes: BTreeMap<String, Vec<Option<usize>>> = parts.chain(head).collect();
        let fits = |name: &str, tensor: &Tensor| {
            shapes.get(name).is_some_and(|shape| {
                let rank = if unequal_ranks { None } else { Some(self.rank) };
                let wanted = |wanted: &Option<usize>, found: &usize| wanted.or(rank).is_none_or(|wanted| wanted == *found);
                shape.len() == tensor.rank() && shape.iter().zip(tensor.dims()).all(|(side, found)| wanted(side, found))
            })
        };
        adapters.iter().find(|(name, tensor)| !fits(name, tensor)).map(|(name, tensor)| format!("{name} {:?}", tensor.dims()))
    }

    /// What a set holds of a head.
    pub fn head_of(&self, adapters: &Adapters) -> Adapters {
        adapters.filter(|name| self.head.is_some() && Head::has(name))
    }

    /// The name of what has been merged into a site's frozen weight.
    pub fn base_name(site: &SiteSpec) -> String {
        format!("{}.{BASE}", site.name)
    }

    /// The name of the router of a site that has two pairs.
    pub fn router_name(site: &SiteSpec) -> String {
        format!("{}.{ROUTER}", site.name)
    }

    /// The names of the second pair of a site that has a router, which weighs it first.
    pub fn second_names(&self, site: &SiteSpec) -> Option<[String; 2]> {
        let second = SiteSpec { name: format!("{}.{SECOND}", site.name), ..site.clone() };
        self.names(&second)
    }

    /// Both pairs of a site that has a router, the second one first, and the router; nothing where one of these is missing.
    fn routed(&self, site: &SiteSpec, adapters: &Adapters) -> Option<([(Tensor, Tensor); 2], Tensor)> {
        let pair = |[down, up]: [String; 2]| adapters.get(&down).cloned().zip(adapters.get(&up).cloned());
        let router = adapters.get(&Self::router_name(site))?.clone();
        Some(([pair(self.second_names(site)?)?, pair(self.names(site)?)?], router))
    }

    /// Adapters at work; sites that the set does not hold stay untouched. The rank is the tensors' own; the scale is alpha / r of
    /// this specification whatever it is.
    pub fn attach(&self, adapters: &Adapters) -> Result<Attached> {
        let mut attached = Attached::new(self.scale());
        for tensor in self.head.iter().flat_map(|head| &head.tensors) {
            let found = adapters.get(&Head::name(&tensor.name)).cloned();
            found.into_iter().for_each(|found| attached.add_head(&tensor.name, found));
        }
        for site in &self.sites {
            let tensor = |name: &str| adapters.get(&format!("{}.{name}", site.name)).cloned();
            if let Some((pairs, router)) = self.routed(site, adapters) {
                attached.add_routed(&site.name, pairs, router);
                continue;
            }
            match self.kind.shape {
                Shape::Pair { names: [down, up], biases } => {
                    let pair = tensor(down).zip(tensor(up));
                    let pair = match adapters.get(&Self::base_name(site)) {
                        Some(base) => Some(self.with_base(pair, base)?),
                        None => pair,
                    };
                    let biases = biases.and_then(|[of_down, of_up]| tensor(of_down).zip(tensor(of_up)));
                    if let Some((down, up)) = pair {
                        attached.add_pair(&site.name, down, up, biases);
                    }
                }
                Shape::Shift { name } => tensor(name).into_iter().for_each(|bias| attached.add_shift(&site.name, bias)),
                Shape::Scale { name } => tensor(name).into_iter().for_each(|weight| attached.add_scale(&site.name, weight)),
                Shape::Tokens { name } => tensor(name).into_iter().for_each(|tokens| attached.add_tokens(&site.name, tokens)),
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

    /// Adapters that add `sum_i w_i A_i(x)` at every site: ranks side by side and what comes back up weighted, or weighted sums of
    /// vectors. Exact for all kinds, since nothing follows what is weighted. A shared head is the weighted sum of the parts' heads.
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
        for (name, _) in self.shared_head().into_iter().flat_map(Head::shapes) {
            mixed.insert(name.clone(), Tensor::stack(&weighted(&name)?, 0)?.sum(0)?);
        }
        for site in &self.sites {
            let full = |name: &str| format!("{}.{name}", site.name);
            match self.kind.shape {
                Shape::Pair { names: [down, up], biases } => {
                    mixed.insert(full(up), Tensor::cat(&weighted(&full(up))?, 1)?);
                    mixed.insert(full(down), side_by_side(&full(down))?);
                    if let Some([of_down, of_up]) = biases {
                        mixed.insert(full(of_up), Tensor::stack(&weighted(&full(of_up))?, 0)?.sum(0)?);
                        mixed.insert(full(of_down), side_by_side(&full(of_down))?);
                    }
                }
                Shape::Shift { name } | Shape::Scale { name } | Shape::Tokens { name } => {
                    mixed.insert(full(name), Tensor::stack(&weighted(&full(name))?, 0)?.sum(0)?);
                }
            }
        }
        Ok(mixed)
    }
}
