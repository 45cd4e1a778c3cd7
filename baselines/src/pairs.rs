//! LoRA's matrices taken together, or NanoAdapters': what the methods that look at A, at B or at the product `B A` share.

use candle_core::{DType, Device, Tensor};
use federation::aggregate::Mean;
use federation::{ADAPTERS, Error, Objective, Result, Update};
use models::adapter::{AdapterKind, AdapterSpec, Adapters, Shape, lora};
use nalgebra::DMatrix;

/// Why a method that takes pairs of matrices apart refuses adapters of a kind.
pub fn refuses(kind: &AdapterKind) -> Option<&'static str> {
    match kind.shape {
        Shape::Pair { biases: None, .. } => None,
        Shape::Pair { .. } => Some("it takes a pair of matrices for their product, and these have a ReLU between them"),
        Shape::Shift { .. } | Shape::Scale { .. } | Shape::Tokens { .. } => {
            Some("it treats the two matrices of a pair differently, and these have none")
        }
    }
}

/// Why a method that merges products into frozen weights refuses adapters of a kind.
pub fn refuses_without_weights(kind: &AdapterKind) -> Option<&'static str> {
    let elsewhere = "it merges products of pairs into the frozen weights beside them, and these stand beside none";
    refuses(kind).or((kind.name != lora::KIND.name).then_some(elsewhere))
}

/// The matrices A of a set, which go down to the rank.
pub fn only_a(spec: &AdapterSpec, set: &Adapters) -> Adapters {
    set.filter(|name| is(0, spec, name))
}

/// The matrices B of a set, which come back up.
pub fn only_b(spec: &AdapterSpec, set: &Adapters) -> Adapters {
    set.filter(|name| is(1, spec, name))
}

/// A set without its matrices A.
pub fn without_a(spec: &AdapterSpec, set: &Adapters) -> Adapters {
    set.filter(|name| !is(0, spec, name))
}

/// A set without its matrices B.
pub fn without_b(spec: &AdapterSpec, set: &Adapters) -> Adapters {
    set.filter(|name| !is(1, spec, name))
}

/// Whether a tensor is a matrix A (0) or B (1).
fn is(which: usize, spec: &AdapterSpec, name: &str) -> bool {
    match spec.kind.shape {
        Shape::Pair { names, .. } => name.ends_with(names[which]),
        Shape::Shift { .. } | Shape::Scale { .. } | Shape::Tokens { .. } => false,
    }
}

/// What is trained stands beside what is not: one matrix of a pair, another pair, a change of the frozen weights.
pub struct WithFrozen(pub Adapters);

impl Objective for WithFrozen {
    fn attach(&self, _spec: &AdapterSpec, trained: &Adapters) -> Result<Adapters> {
        Ok(self.0.with(trained))
    }
}

/// A and B of one site.
#[derive(Clone)]
pub struct Pair {
    /// `[r, d_in]`.
    pub a: Tensor,
    /// `[d_out, r]`.
    pub b: Tensor,
}

impl Pair {
    /// `B A`, `[d_out, d_in]`.
    pub fn product(&self) -> Result<Tensor> {
        Ok(self.b.matmul(&self.a)?)
    }

    /// The rank of the matrices' shapes.
    pub fn rank(&self) -> Result<usize> {
        Ok(self.a.dim(0)?)
    }

    /// The first `rank` dimensions.
    pub fn first(&self, rank: usize) -> Result<Self> {
        Ok(Self { a: self.a.narrow(0, 0, rank)?.contiguous()?, b: self.b.narrow(1, 0, rank)?.contiguous()? })
    }

    /// Zeros behind, up to `rank`.
    pub fn padded(&self, rank: usize) -> Result<Self> {
        let more = rank.saturating_sub(self.rank()?);
        Ok(Self { a: self.a.pad_with_zeros(0, 0, more)?, b: self.b.pad_with_zeros(1, 0, more)? })
    }

    /// Several side by side: their products' sum is the product.
    pub fn stacked(pairs: &[Self]) -> Result<Self> {
        let (a, b): (Vec<&Tensor>, Vec<&Tensor>) = pairs.iter().map(|pair| (&pair.a, &pair.b)).unzip();
        Ok(Self { a: Tensor::cat(&a, 0)?, b: Tensor::cat(&b, 1)? })
    }

    /// The pair of the same product whose dimensions stand in the order of their singular values, all of these in B, so that the rows of
    /// A are orthonormal; at least `rank` of them. By two QR and one small SVD: the product itself is never made.
    pub fn by_singular_values(&self, rank: usize) -> Result<Self> {
        let (left, right) = (matrix(&self.b)?.qr(), matrix(&self.a)?.transpose().qr());
        let svd = (left.r() * right.r().transpose()).svd(true, true);
        let failed = || Error::Usage("the singular value decomposition of an update did not converge".into());
        let (u, v) = (svd.u.ok_or_else(failed)?, svd.v_t.ok_or_else(failed)?);
        let b = left.q() * u * DMatrix::from_diagonal(&svd.singular_values);
        let a = v * right.q().transpose();
        let like = |m: &DMatrix<f64>, x: &Tensor| tensor(m, x.dtype(), x.device());
        Self { a: like(&a, &self.a)?, b: like(&b, &self.b)? }.padded(rank)
    }
}

fn matrix(x: &Tensor) -> Result<DMatrix<f64>> {
    let (rows, columns) = x.dims2()?;
    Ok(DMatrix::from_row_slice(rows, columns, &x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?))
}

fn tensor(m: &DMatrix<f64>, dtype: DType, device: &Device) -> Result<Tensor> {
    // nalgebra stores columns one after the other.
    let columns = Tensor::from_slice(m.as_slice(), (m.ncols(), m.nrows()), &Device::Cpu)?;
    Ok(columns.t()?.contiguous()?.to_dtype(dtype)?.to_device(device)?)
}

/// What a method must know of its adapters to see pairs, from the moment a run starts.
#[derive(Debug, Clone, Default)]
pub struct Sites(Option<AdapterSpec>);

impl Sites {
    /// The sites of a run.
    pub fn of(spec: &AdapterSpec) -> Self {
        Self(Some(spec.clone()))
    }

    /// The adapters' specification.
    pub fn spec(&self) -> Result<&AdapterSpec> {
        self.0.as_ref().ok_or_else(|| Error::Usage("a method cannot aggregate before its run has started".into()))
    }

    /// A set's pairs, in the order of the sites.
    pub fn pairs(&self, set: &Adapters) -> Result<Vec<Pair>> {
        let spec = self.spec()?;
        let tensor =
            |name: &str| set.get(name).cloned().ok_or_else(|| Error::Usage(format!("adapters without `{name}` are no pairs")));
        names(spec)?.into_iter().map(|[a, b]| Ok(Pair { a: tensor(&a)?, b: tensor(&b)? })).collect()
    }

    /// Pairs, in the order of the sites, as a set.
    pub fn set(&self, pairs: Vec<Pair>) -> Result<Adapters> {
        Ok(names(self.spec()?)?.into_iter().zip(pairs).flat_map(|([a, b], pair)| [(a, pair.a), (b, pair.b)]).collect())
    }

    /// A set of pairs, each changed; a head beside them stays as it is.
    pub fn map(&self, set: &Adapters, change: impl Fn(&Pair) -> Result<Pair>) -> Result<Adapters> {
        let pairs = self.set(self.pairs(set)?.iter().map(change).collect::<Result<_>>()?)?;
        Ok(pairs.with(&self.spec()?.head_of(set)))
    }

    /// The mean of the heads beside all updates' pairs; nothing where there is none.
    pub fn mean_head(&self, updates: &[Update], weights: &[f64]) -> Result<Adapters> {
        let (spec, mut mean) = (self.spec()?, Mean::default());
        for (update, &weight) in updates.iter().zip(weights) {
            mean.add(&spec.head_of(update.set(ADAPTERS)?), weight)?;
        }
        mean.take()
    }

    /// For each site something made of all updates' pairs there.
    pub fn merge(&self, updates: &[Update], merge: impl Fn(&[&Pair]) -> Result<Pair>) -> Result<Adapters> {
        let sent = updates.iter().map(|update| self.pairs(update.set(ADAPTERS)?)).collect::<Result<Vec<_>>>()?;
        let sites = self.spec()?.sites.len();
        self.set((0..sites).map(|site| merge(&sent.iter().map(|pairs| &pairs[site]).collect::<Vec<_>>())).collect::<Result<_>>()?)
    }

    /// What a set has merged into the frozen weights, plus the scaled products of `pairs`.
    pub fn merged_into_base(&self, set: &Adapters, pairs: &Adapters) -> Result<Adapters> {
        let spec = self.spec()?;
        let merged = spec.sites.iter().zip(self.pairs(pairs)?).map(|(site, pair)| {
            let (name, more) = (AdapterSpec::base_name(site), (pair.product()? * spec.scale())?);
            let base = match set.get(&name) {
                Some(base) => (base + more)?,
                None => more,
            };
            Ok((name, base))
        });
        merged.collect()
    }
}

/// The ranks of clients with unequal means: client k has the k-th, and so on in turn; without any, all have the adapters' own.
pub fn rank_of(ranks: &[usize], client: usize, spec: &AdapterSpec) -> usize {
    if ranks.is_empty() { spec.rank } else { ranks[client % ranks.len()].min(spec.rank) }
}

/// Refuses a rank of 0.
pub fn check_ranks(method: &str, ranks: &[usize]) -> Result<()> {
    if ranks.contains(&0) || ranks.len() > schema::limits::CLIENTS {
        let shown = &ranks[..ranks.len().min(8)];
        return Err(Error::Usage(format!(
            "[method] name = \"{method}\": ranks = {shown:?}: expected numbers from 1 to adapter.rank, one for each client at most"
        )));
    }
    Ok(())
}

/// The names of every site's matrices.
fn names(spec: &AdapterSpec) -> Result<Vec<[String; 2]>> {
    let none = || Error::Usage(format!("adapter.kind = \"{}\" has no pairs of matrices; expected `lora`", spec.kind.name));
    spec.sites.iter().map(|site| spec.names(site).ok_or_else(none)).collect()
}
