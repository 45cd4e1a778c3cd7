//! Every gradient, against central finite differences in f64: kernels, and each adapter tensor at each site.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use models::adapter::{self, Adapt, AdapterSpec, Adapters, KINDS, fisher};
use models::kernels::{self, Real};
use models::llava::Llava;
use models::{Backbone, Batch, Branch, Sequence, nano, nn};
use schema::experiment::AdapterConfig;

use crate::support::{Test, distance, flat, length, nan_max, normal, relative, within};
use crate::tiny;

type Function<'f> = &'f dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>;

/// Gradients of `sum(c * f(x))` for a fixed random c, one per input.
fn gradients(inputs: &[Tensor], f: Function) -> Result<Vec<Tensor>> {
    let vars = inputs.iter().map(Var::from_tensor).collect::<candle_core::Result<Vec<_>>>()?;
    let y = f(&vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>())?;
    let gradients = (&y * normal("cotangent", y.shape(), y.dtype())?)?.sum_all()?.backward()?;
    vars.iter()
        .enumerate()
        .map(|(i, var)| gradients.get(var).cloned().with_context(|| format!("input {i} got no gradient")))
        .collect()
}

/// Holds the backward of `f` against central differences, every entry of every input, all f64.
fn check(what: &str, inputs: &[Tensor], f: Function) -> Test {
    const STEP: f64 = 1e-5;
    for (i, gradient) in gradients(inputs, f)?.iter().enumerate() {
        let mut inputs = inputs.to_vec();
        let (start, shape) = (flat(&inputs[i])?, inputs[i].shape().clone());
        let mut differences = Vec::with_capacity(start.len());
        for entry in 0..start.len() {
            let mut ends = [0.0; 2];
            for (end, step) in ends.iter_mut().zip([STEP, -STEP]) {
                let mut moved = start.clone();
                moved[entry] += step;
                inputs[i] = Tensor::from_vec(moved, shape.clone(), &Device::Cpu)?;
                let y = f(&inputs)?;
                *end = (&y * normal("cotangent", y.shape(), DType::F64)?)?.sum_all()?.to_scalar::<f64>()?;
            }
            differences.push((ends[0] - ends[1]) / (2.0 * STEP));
        }
        let differences = Tensor::from_vec(differences, shape, &Device::Cpu)?;
        within(&format!("{what}, input {i}, against differences"), relative(gradient, &differences)?, 1e-6);
    }
    Ok(())
}

/// Holds an f32 kernel against its composed form: values and gradients.
fn compare(what: &str, inputs: &[Tensor], kernel: Function, composed: Function) -> Test {
    within(&format!("{what}, values against composed"), relative(&kernel(inputs)?, &composed(inputs)?)?, 1e-6);
    for (i, (found, wanted)) in gradients(inputs, kernel)?.iter().zip(gradients(inputs, composed)?).enumerate() {
        within(&format!("{what}, gradient {i} against composed"), relative(found, &wanted)?, 5e-6);
    }
    Ok(())
}

/// Two sequences with branches and padding: a mask as training has it, and its rotary tables.
fn masked(dtype: DType, head_dim: usize) -> Result<(Tensor, nn::Rotary)> {
    let sequence = |prefix: usize, branches: &[usize]| Sequence {
        prefix: vec![1; prefix],
        images: vec![],
        branches: branches.iter().map(|&n| Branch::answer(vec![2; n])).collect(),
    };
    let batch = Batch::new(&[&sequence(3, &[3, 2]), &sequence(2, &[3])], 0, dtype, &Device::Cpu)?;
    Ok((batch.mask, nn::Rotary::at(&batch.positions, head_dim, 100.0, dtype, &Device::Cpu)?))
}

fn qkv(dtype: DType, t: usize, heads: usize, kv_heads: usize, head_dim: usize) -> Result<Vec<Tensor>> {
    let sizes = [("q", heads), ("k", kv_heads), ("v", kv_heads)];
    Ok(sizes.iter().map(|(name, n)| normal(name, (2, t, n * head_dim), dtype)).collect::<candle_core::Result<_>>()?)
}

/// Attention with mask, rotary tables and grouped queries, and without any.
#[test]
fn attention() -> Test {
    let (mask, rotary) = masked(DType::F64, 4)?;
    let t = mask.dim(3)?;
    check("masked rotary attention", &qkv(DType::F64, t, 4, 2, 4)?, &|x| {
        nn::attention(&x[0], &x[1], &x[2], 4, 2, Some(&mask), Some(&rotary))
    })?;
    check("plain attention", &qkv(DType::F64, 5, 2, 2, 3)?, &|x| nn::attention(&x[0], &x[1], &x[2], 2, 2, None, None))?;

    let (mask, rotary) = masked(DType::F32, 8)?;
    let inputs = qkv(DType::F32, t, 4, 2, 8)?;
    compare(
        "masked rotary attention",
        &inputs,
        &|x| nn::attention(&x[0], &x[1], &x[2], 4, 2, Some(&mask), Some(&rotary)),
        &|x| nn::composed_attention(&x[0], &x[1], &x[2], 4, 2, Some(&mask), Some(&rotary)),
    )?;
    let inputs = qkv(DType::F32, 37, 4, 4, 8)?;
    compare("plain attention", &inputs, &|x| nn::attention(&x[0], &x[1], &x[2], 4, 4, None, None), &|x| {
        nn::composed_attention(&x[0], &x[1], &x[2], 4, 4, None, None)
    })
}

fn rms_norm(weight: &Tensor) -> candle_core::Result<nn::RmsNorm> {
    let tensors = [("weight".to_owned(), weight.clone())].into();
    nn::RmsNorm::new(weight.elem_count(), 1e-2, &VarBuilder::from_tensors(tensors, weight.dtype(), &Device::Cpu))
}

/// The RMS norm, its weight's gradient included; more rows than a thread takes, a width that no instruction set divides.
#[test]
fn rms_norms() -> Test {
    let inputs = |dtype| -> Result<[Tensor; 2]> { Ok([normal("x", (2, 35, 11), dtype)?, normal("weight", 11, dtype)?]) };
    check("RMS norm", &inputs(DType::F64)?, &|x| rms_norm(&x[1])?.forward(&x[0]))?;
    compare("RMS norm", &inputs(DType::F32)?, &|x| rms_norm(&x[1])?.forward(&x[0]), &|x| rms_norm(&x[1])?.composed(&x[0]))
}

fn layer_norm(weight: &Tensor, bias: &Tensor) -> candle_core::Result<nn::LayerNorm> {
    let tensors = [("weight".to_owned(), weight.clone()), ("bias".to_owned(), bias.clone())].into();
    nn::LayerNorm::new(weight.elem_count(), 1e-2, &VarBuilder::from_tensors(tensors, weight.dtype(), &Device::Cpu))
}

/// The layer norm, weight and bias included.
#[test]
fn layer_norms() -> Test {
    let inputs = |dtype| -> Result<[Tensor; 3]> {
        Ok([normal("x", (2, 35, 11), dtype)?, normal("weight", 11, dtype)?, normal("bias", 11, dtype)?])
    };
    check("layer norm", &inputs(DType::F64)?, &|x| layer_norm(&x[1], &x[2])?.forward(&x[0]))?;
    compare("layer norm", &inputs(DType::F32)?, &|x| layer_norm(&x[1], &x[2])?.forward(&x[0]), &|x| {
        layer_norm(&x[1], &x[2])?.composed(&x[0])
    })
}

/// CLIP's activation, over several threads' worth of numbers.
#[test]
fn quick_gelu() -> Test {
    check("quick GELU", &[normal("x", (4, 9), DType::F64)?], &|x| nn::quick_gelu(&x[0]))?;
    let inputs = [normal("x", (3, 4001), DType::F32)?];
    compare("quick GELU", &inputs, &|x| nn::quick_gelu(&x[0]), &|x| nn::composed_quick_gelu(&x[0]))
}

/// A linear layer's bias, trained and frozen.
#[test]
fn bias() -> Test {
    let inputs = [normal("x", (2, 3, 7), DType::F64)?, normal("w", (5, 7), DType::F64)?, normal("b", 5, DType::F64)?];
    let linear = |x: &[Tensor]| {
        let tensors = [("weight".to_owned(), x[1].clone()), ("bias".to_owned(), x[2].clone())].into();
        nn::Linear::new(7, 5, true, &VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu))?.forward(&x[0])
    };
    let y = linear(&inputs)?;
    let expect = inputs[0].reshape((6, 7))?.matmul(&inputs[1].t()?)?.broadcast_add(&inputs[2])?.reshape((2, 3, 5))?;
    within("biased linear, values", relative(&y, &expect)?, 1e-12);
    check("biased linear", &inputs, &linear)?;
    check("biased linear, frozen", &inputs[..1], &|x| linear(&[x[0].clone(), inputs[1].clone(), inputs[2].clone()]))
}

/// The gated activation, over several threads' worth of numbers.
#[test]
fn silu_gate() -> Test {
    let inputs = |n: usize, dtype| -> Result<[Tensor; 2]> { Ok([normal("gate", (3, n), dtype)?, normal("up", (3, n), dtype)?]) };
    check("SiLU gate", &inputs(7, DType::F64)?, &|x| nn::silu_gate(&x[0], &x[1]))?;
    compare("SiLU gate", &inputs(4001, DType::F32)?, &|x| nn::silu_gate(&x[0], &x[1]), &|x| x[0].silu()? * &x[1])
}

/// Multiplication by a frozen weight: the input's gradient is right, and equals that of a weight which is a variable.
#[test]
fn frozen_linear() -> Test {
    let weight = normal("w", (5, 7), DType::F64)?;
    let frozen = nn::Linear::from_weight(weight.clone());
    check("frozen linear", &[normal("x", (2, 3, 7), DType::F64)?], &|x| frozen.forward(&x[0]))?;
    // A transposed input is not contiguous.
    check("frozen linear, strided", &[normal("x", (2, 7, 3), DType::F64)?], &|x| frozen.forward(&x[0].transpose(1, 2)?))?;
    check("trained linear", &[normal("x", (2, 3, 7), DType::F64)?, weight], &|x| {
        nn::Linear::from_weight(x[1].clone()).forward(&x[0])
    })
}

/// The other differentiable parts that stand between an adapter and the loss.
#[test]
fn composed_layers() -> Test {
    let x = [normal("x", (4, 9), DType::F64)?];
    let targets = Tensor::new(&[0u32, 8, 3, 3], &Device::Cpu)?;
    check("log-likelihood", &x, &|x| nn::log_likelihood(&x[0], &targets))?;
    check("softmax", &x, &|x| nn::softmax(&x[0]))?;
    check("GELU", &x, &|x| nn::gelu(&x[0]))
}

/// The kernels' f32 exponential: two units in the last place over the range where it is used, exact at the ends.
#[test]
fn exponential() -> Test {
    let n = 2_000_000;
    let error = |x: f32| (f64::from(x.exponential()) / f64::from(x).exp() - 1.0).abs();
    let worst = (0..=n).map(|i| error(-87.0 + 175.0 * i as f32 / n as f32)).fold(0.0, nan_max);
    within("exponential over [-87, 88]", worst, 3e-7);
    let near_zero = (0..=n).map(|i| error(-1.0 + 2.0 * i as f32 / n as f32)).fold(0.0, nan_max);
    within("exponential over [-1, 1]", near_zero, 3e-7);
    assert_eq!([f32::NEG_INFINITY, -1e30, -88.0].map(Real::exponential), [0.0; 3]);
    assert_eq!(0f32.exponential(), 1.0);
    assert!(f32::INFINITY.exponential().is_finite() && f32::NAN.exponential().is_nan());
    Ok(())
}

/// Kernels serve CPU floats, and nothing else.
#[test]
fn half_precision_is_composed() -> Test {
    let x = normal("x", (2, 4), DType::F32)?;
    assert!(kernels::serves(&x) && !kernels::serves(&x.to_dtype(DType::F16)?));
    Ok(())
}

/// A backbone in f64 with a batch that has images, branches, padding and answers.
struct Task {
    name: &'static str,
    model: Llava,
    features: Tensor,
    /// What enters the connector.
    seen: Tensor,
    sequences: Vec<Sequence>,
}

impl Task {
    fn new(name: &'static str, model: Llava) -> Result<Self> {
        let tokens = model.spec().image_tokens;
        let image = model.text().image_token();
        let sequence = |images: Vec<usize>, prompt: &[u32], branches: Vec<Vec<u32>>| {
            let mut prefix = vec![1];
            prefix.extend(std::iter::repeat_n(image, images.len() * tokens));
            prefix.extend(prompt);
            Sequence { prefix, images, branches: branches.into_iter().map(Branch::answer).collect() }
        };
        let sequences = vec![
            sequence(vec![0], &[40, 50, 60], vec![vec![70, 80, 2], vec![90, 2]]),
            sequence(vec![1], &[41, 51, 61, 71, 81], vec![vec![91, 101, 111, 2]]),
            sequence(vec![1, 0], &[45], vec![vec![55, 2]]),
        ];
        let size = model.preprocess().size;
        let pixels = normal("pixels", (2, 3, size, size), DType::F64)?;
        let (features, seen) = (model.encode(&pixels)?, model.see(&pixels)?);
        Ok(Self { name, model, features, seen, sequences })
    }

    fn tiny() -> Result<Self> {
        Self::new("tiny", tiny::llava(&tiny::config(), DType::F64, None)?)
    }

    /// The embedded backbone's weights, widened.
    fn nano() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/assets/nano/model.safetensors");
        let weights = VarBuilder::from_tensors(candle_core::safetensors::load(path, &Device::Cpu)?, DType::F64, &Device::Cpu);
        Self::new("nano", tiny::llava(&nano::config()?, DType::F64, Some(weights))?)
    }

    /// Summed negative log-likelihood of the answers of these sequences.
    fn loss(&self, sequences: &[Sequence], spec: &AdapterSpec, adapt: &dyn Adapt) -> Result<Tensor> {
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), self.model.text().image_token(), DType::F64, &Device::Cpu)?;
        let embeddings = match spec.reaches_connector() {
            true => self.model.embed_unconnected(&batch, &self.seen)?,
            false => self.model.embed(&batch, &self.features)?,
        };
        let logits = self.model.decode(&embeddings, adapt)?;
        Ok(nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.neg()?)
    }

    fn value(&self, spec: &AdapterSpec, adapters: &Adapters) -> Result<f64> {
        Ok(self.loss(&self.sequences_for(spec), spec, &spec.attach(adapters)?)?.to_scalar::<f64>()?)
    }

    /// The sequences behind a spec's virtual tokens.
    fn sequences_for(&self, spec: &AdapterSpec) -> Vec<Sequence> {
        self.sequences.iter().map(|sequence| sequence.clone().behind_virtual_tokens(spec.virtual_tokens())).collect()
    }

    fn spec(&self, kind: &str, group: &str) -> Result<AdapterSpec> {
        let rank = adapter::kind(kind)?.has_rank().then_some(2);
        let config = AdapterConfig {
            kind: Some(kind.into()),
            rank,
            alpha: Some(3.0),
            sites: Some(vec![group.into()]),
            ..AdapterConfig::default()
        };
        Ok(AdapterSpec::resolve(&config, kind, self.model.spec())?)
    }

    /// Adapters of a spec with every number drawn: at the usual start, half of the gradients are zero.
    fn drawn(&self, spec: &AdapterSpec) -> Result<Adapters> {
        let start = spec.init(seed::Seed::new(0), DType::F64, &Device::Cpu)?;
        start.iter().map(|(name, tensor)| Ok((name.clone(), (normal(name, tensor.shape(), DType::F64)? * 0.2)?))).collect()
    }

    /// Every adapter kind at every site on its own: each tensor has a gradient, and it is the differences' along each direction
    /// that `directions` gives for a shape.
    fn check_adapters(&self, directions: fn(&Tensor) -> Result<Vec<Tensor>>) -> Test {
        const STEP: f64 = 1e-4;
        let mut worst = 0.0;
        for (kind, group) in KINDS.iter().flat_map(|kind| kind.allowed.iter().map(move |group| (kind.name, *group))) {
            let spec = self.spec(kind, group)?;
            let adapters = self.drawn(&spec)?;
            assert!(!adapters.is_empty(), "{kind} at {group} attaches nowhere");
            let vars = adapters.to_vars()?;
            let gradients =
                self.loss(&self.sequences_for(&spec), &spec, &spec.attach(&Adapters::from_vars(&vars))?)?.backward()?;
            for (name, tensor) in adapters.iter() {
                let gradient = gradients.get(&vars[name]).with_context(|| format!("{}: `{name}` got no gradient", self.name))?;
                let gradient = flat(gradient)?;
                assert!(length(&gradient) > 1e-6, "{}: the gradient of `{name}` is zero", self.name);
                let (mut error, mut size) = (0.0, 0.0);
                for direction in directions(tensor)? {
                    let value = |step: f64| {
                        let mut moved = adapters.clone();
                        moved.insert(name.clone(), (tensor + (&direction * step)?)?);
                        self.value(&spec, &moved)
                    };
                    let difference = (value(STEP)? - value(-STEP)?) / (2.0 * STEP);
                    let slope: f64 = flat(&direction)?.iter().zip(&gradient).map(|(a, b)| a * b).sum();
                    error += (difference - slope).powi(2);
                    size += difference.powi(2);
                }
                let relative = (error / size).sqrt();
                assert!(relative < 1e-3, "{}: the gradient of `{name}` is off by {relative:e}", self.name);
                worst = nan_max(relative, worst);
            }
        }
        within(&format!("{}: adapter gradients at all sites, the worst", self.name), worst, 1e-3);
        Ok(())
    }
}

/// Each entry by itself.
fn each_entry(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let n = tensor.elem_count();
    let unit = |entry: usize| {
        let values = (0..n).map(|i| f64::from(u8::from(i == entry))).collect();
        Ok(Tensor::from_vec(values, tensor.shape(), &Device::Cpu)?)
    };
    (0..n).map(unit).collect()
}

/// Two random directions.
fn random(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let n = tensor.elem_count() as f64;
    ["one way", "another"].iter().map(|name| Ok((normal(name, tensor.shape(), DType::F64)? / n.sqrt())?)).collect()
}

/// Every adapter tensor of every kind at every site gets a gradient that matches finite differences, entry by entry.
#[test]
fn adapters_at_every_site() -> Test {
    Task::tiny()?.check_adapters(each_entry)
}

/// The same for the backbone that ships with the suite, along random directions.
#[test]
fn adapters_at_every_site_of_nano() -> Test {
    Task::nano()?.check_adapters(random)
}

/// From the usual start (up is zero) every `up` gets a gradient, so that training begins.
#[test]
fn training_begins_at_every_site() -> Test {
    let task = Task::tiny()?;
    for (kind, group) in KINDS.iter().flat_map(|kind| kind.allowed.iter().map(move |group| (kind.name, *group))) {
        let spec = task.spec(kind, group)?;
        let vars = spec.init(seed::Seed::new(0), DType::F64, &Device::Cpu)?.to_vars()?;
        let gradients = task.loss(&task.sequences_for(&spec), &spec, &spec.attach(&Adapters::from_vars(&vars))?)?.backward()?;
        for site in &spec.sites {
            let moves = |name: &String| match spec.names(site) {
                Some([_, up]) => *name == up,
                None => name.starts_with(&site.name),
            };
            let (name, var) = vars.iter().find(|(name, _)| moves(name)).context("no tensor at this site")?;
            let gradient = gradients.get(var).with_context(|| format!("`{name}` got no gradient"))?;
            assert!(length(&flat(gradient)?) > 1e-6, "the gradient of `{name}` is zero at the start");
        }
    }
    Ok(())
}

/// An adapter that does not tell its form: the decoder goes block by block.
struct Opaque(Box<dyn Adapt>);

impl Adapt for Opaque {
    fn delta(&self, site: &str, input: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.0.delta(site, input)
    }
}

/// The decoder as one operation gives what it gives block by block: the loss and every gradient, with pairs at all projections at
/// once and with adapters before the decoder; and a second backward pass gives the same again.
#[test]
fn at_once_is_block_by_block() -> Test {
    let mut shallow = tiny::config();
    shallow.text_config.num_hidden_layers = 1;
    let shallow = Task::new("one block", tiny::llava(&shallow, DType::F64, None)?)?;
    for task in [Task::tiny()?, shallow, Task::nano()?] {
        for kind in KINDS {
            let config = AdapterConfig {
                kind: Some(kind.name.into()),
                rank: kind.has_rank().then_some(3),
                alpha: Some(5.0),
                sites: Some(kind.allowed.iter().map(|&group| group.into()).collect()),
                ..AdapterConfig::default()
            };
            let spec = AdapterSpec::resolve(&config, kind.name, task.model.spec())?;
            let vars = task.drawn(&spec)?.to_vars()?;
            let attached = || spec.attach(&Adapters::from_vars(&vars)).map(Box::new);
            let sequences = task.sequences_for(&spec);
            let wanted = task.loss(&sequences, &spec, &Opaque(attached()?))?;
            let found = task.loss(&sequences, &spec, &*attached()?)?;
            let what = format!("{}, {}", task.name, kind.name);
            within(&format!("{what}: loss at once against block by block"), relative(&found, &wanted)?, 1e-12);
            let (wanted, first, second) = (wanted.backward()?, found.backward()?, found.backward()?);
            let mut worst = 0.0;
            for (name, var) in &vars {
                let get = |gradients: &candle_core::backprop::GradStore| {
                    gradients.get(var).cloned().with_context(|| format!("`{name}` got no gradient"))
                };
                let wanted = get(&wanted)?;
                worst = nan_max(relative(&get(&first)?, &wanted)?, worst);
                worst = nan_max(relative(&get(&second)?, &wanted)?, worst);
            }
            within(&format!("{what}: gradients at once against block by block"), worst, 1e-10);
        }
    }
    Ok(())
}

/// The Fisher from one backward pass over a batch of adapter copies is that of a loop over single examples.
#[test]
fn fisher_of_a_batch_is_that_of_single_examples() -> Test {
    let task = Task::tiny()?;
    for kind in KINDS {
        let sites = Some(kind.allowed.iter().map(|&group| group.into()).collect());
        let config = AdapterConfig { rank: kind.has_rank().then_some(2), sites, ..AdapterConfig::default() };
        let spec = AdapterSpec::resolve(&config, kind.name, task.model.spec())?;
        let sequences = task.sequences_for(&spec);
        let adapters = task.drawn(&spec)?;
        let copies = fisher::copies(&adapters, sequences.len())?;
        let summed = task.loss(&sequences, &spec, &spec.attach(&Adapters::from_vars(&copies))?)?;
        let batched = fisher::sum_of_squares(&copies, &summed.backward()?)?;

        let mut looped: Option<Adapters> = None;
        for sequence in &sequences {
            let vars = adapters.to_vars()?;
            let gradients =
                task.loss(std::slice::from_ref(sequence), &spec, &spec.attach(&Adapters::from_vars(&vars))?)?.backward()?;
            let squares = vars.iter().map(|(name, var)| {
                let gradient = gradients.get(var).with_context(|| format!("`{name}` got no gradient"))?;
                Ok((name.clone(), gradient.sqr()?))
            });
            let squares: Adapters = squares.collect::<Result<_>>()?;
            looped = Some(match looped {
                Some(sum) => sum.add(&squares)?,
                None => squares,
            });
        }
        let looped = looped.context("no sequence")?;
        for (name, found) in batched.iter() {
            let wanted = looped.get(name).context("no such tensor")?;
            assert!(distance(found, &found.zeros_like()?)? > 0.0, "the Fisher of `{name}` is zero");
            within(&format!("Fisher of {name}"), relative(found, wanted)?, 1e-10);
        }
    }
    Ok(())
}

/// A client's Fisher does not depend on the batch size it is computed with.
#[test]
fn fisher_of_a_client_does_not_depend_on_batches() -> Test {
    let fisher = |batch_size: usize| -> Result<Adapters> {
        let mut experiment = tiny::experiment("fednano");
        experiment.federation.batch_size = batch_size;
        let (row, study) = tiny::study(&experiment)?;
        let mut clients = study.federation().clients(row.scope);
        let start: Adapters = study
            .initial()
            .iter()
            .map(|(name, x)| Ok((name.clone(), (normal(name, x.shape(), DType::F32)? * 0.2)?)))
            .collect::<Result<_>>()?;
        Ok(clients[0].fisher(&start, None)?)
    };
    let (one, many) = (fisher(1)?, fisher(7)?);
    for (name, found) in many.iter() {
        within(&format!("client Fisher of {name}"), relative(found, one.get(name).context("no such tensor")?)?, 1e-4);
    }
    Ok(())
}
