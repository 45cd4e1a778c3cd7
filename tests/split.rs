//! Does it matter where the decoder is, and what becomes of decoders that are lost, and of callers that lie or mean harm?

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Tensor};
use decoder::{Place, Remote, serve};
use federation::registry::Registry;
use federation::{Outcome, Placement, Scope};
use line::{Address, Line, Listener, Security};
use models::adapter::{AdapterSpec, Untouched};
use models::{Backbone, Backbones, Batch, Branch, Half, Sequence};
use schema::Experiment;
use schema::experiment::{Activations, Checkpoint, LossAt};
use schema::metrics::Metric;

use crate::cli::{Desk, MINIMAL};
use crate::support::{Test, setup};
use crate::tiny::{backbone, bytes, experiment, run, run_on, shared_backbone, study_behind};

const NOT_LONG: Duration = Duration::from_millis(300);

/// A decoder of the tiny backbone, served in a thread for as long as the tests go on; where it listens.
fn served() -> Result<Address> {
    setup();
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse()?, &Security::default())?;
    let address = listener.address().clone();
    thread::spawn(move || serve(shared_backbone(), listener, 2, false, &|_| ()));
    Ok(address)
}

fn place(address: &Address) -> Place {
    Place { address: address.clone(), security: Security::default(), patience: NOT_LONG }
}

fn remote(address: &Address) -> Result<Arc<dyn Backbone>> {
    Ok(Arc::new(Remote::new(shared_backbone(), place(address))?))
}

/// What only a run with a decoder elsewhere records.
const MEASURED: [Metric; 4] = [
    Metric::ActivationUplinkPayloadBytes,
    Metric::ActivationDownlinkPayloadBytes,
    Metric::ActivationUplinkSocketBytes,
    Metric::ActivationDownlinkSocketBytes,
];

/// What of each was recorded in all, once it is taken out of the records.
fn measured(outcome: &mut Outcome) -> [f64; 4] {
    let sums = MEASURED.map(|metric| outcome.recorded(metric).sum());
    outcome.measured.records.retain(|record| !MEASURED.contains(&record.metric));
    sums
}

/// The same run in one process and through a decoder elsewhere: equal bytes. What was measured, and what the formula says.
fn check_same(experiment: &Experiment, address: &Address) -> Result<([f64; 4], [f64; 2])> {
    let what = format!("{} {:?}", experiment.method.name, experiment.federation);
    let (.., here) = run(experiment).with_context(|| what.clone())?;
    let (.., mut there) = run_on(experiment, remote(address)?).with_context(|| what.clone())?;
    let measured = measured(&mut there);
    assert!(bytes(&here)? == bytes(&there)?, "{what}: it matters where the decoder is");
    assert!(here.recorded(MEASURED[0].clone()).next().is_none(), "an ordinary run measures no line");
    Ok((measured, [there.measured.activations.uplink as f64, there.measured.activations.downlink as f64]))
}

/// Experiments whose clients hold no decoder: every method that can tune adapters in front of it, and every kind of those.
fn split_experiments() -> Result<Vec<Experiment>> {
    let registry = Registry::new(METHODS);
    let mut found = Vec::new();
    for row in METHODS.iter().filter(|row| row.scope == Scope::Shard) {
        for kind in row.adapters(registry.adapters()) {
            let mut experiment = experiment(row.name);
            experiment.adapter.kind = Some(kind.name.into());
            let on_it = registry.choose(row.name, Some(kind.name))?;
            // Biases and norms have no rank, and lie in the decoder.
            let Ok(spec) = AdapterSpec::of(on_it.adapter, &experiment.adapter, backbone().spec()) else { continue };
            let is_new = found.iter().all(|other: &Experiment| other.adapter.kind != experiment.adapter.kind);
            if on_it.placement(spec.is_split()) == Placement::Split && (kind.name == "nano" || is_new) {
                experiment.method.name = on_it.name.into();
                experiment.federation.local_steps = Some(2);
                found.push(experiment);
            }
        }
    }
    Ok(found)
}

/// Every method and kind, with the loss on either side: records, predictions and adapters. Payload is what the formula says, but for the
/// log-likelihoods that have to be known where the methods are.
#[test]
fn it_does_not_matter_where_the_decoder_is() -> Test {
    let (address, experiments) = (served()?, split_experiments()?);
    assert!(experiments.len() > 10, "{}", experiments.len());
    for mut experiment in experiments {
        for loss_at in [LossAt::Client, LossAt::Server] {
            experiment.federation.loss_at = loss_at;
            if experiment.method.name.starts_with("feddat") && loss_at == LossAt::Server {
                continue;
            }
            let ([up, down, socket_up, socket_down], [formula_up, formula_down]) = check_same(&experiment, &address)?;
            let beyond = (up - formula_up, down - formula_down);
            match loss_at {
                LossAt::Client => assert_eq!(beyond, (0.0, 0.0)),
                LossAt::Server => assert!(beyond.0 == beyond.1 && beyond.0 > 0.0 && beyond.0 % 4.0 == 0.0, "{beyond:?}"),
            }
            assert!(socket_up > up && socket_down > down && formula_up > 0.0 && formula_down > 0.0);
        }
    }
    Ok(())
}

/// Encoded activations, too: what travels is what a run in one process goes through, and each encoding is felt.
#[test]
fn encodings_are_the_same_on_both_sides() -> Test {
    let address = served()?;
    let mut seen = Vec::new();
    for activations in [Activations::F32, Activations::Bf16, Activations::Int8, Activations::Int4] {
        for loss_at in [LossAt::Client, LossAt::Server] {
            let mut experiment = experiment("fednano");
            (experiment.federation.activations, experiment.federation.loss_at) = (activations, loss_at);
            let ([up, down, ..], formula) = check_same(&experiment, &address)?;
            if loss_at == LossAt::Client {
                assert_eq!([up, down], formula, "{activations:?}");
                let (.., outcome) = run(&experiment)?;
                seen.push((outcome.global.to_bytes()?, up));
            }
        }
    }
    assert!(
        seen.iter().enumerate().all(|(i, one)| seen[..i].iter().all(|other| one.0 != other.0)),
        "an encoding changes nothing"
    );
    assert!(seen.is_sorted_by(|one, other| one.1 > other.1), "fewer bits, fewer bytes");
    Ok(())
}

/// Between callers and a decoder; cuts every line after so many bytes from the caller, and all for good after so many lines.
fn unreliable(target: &Address, bytes: usize, lines: usize) -> Result<(Address, Arc<AtomicUsize>)> {
    let Address::Tcp(host, port) = target.clone() else { anyhow::bail!("not tcp") };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("tcp://{}", listener.local_addr()?).parse()?;
    let cut = Arc::new(AtomicUsize::new(0));
    let count = cut.clone();
    thread::spawn(move || -> Result<()> {
        for _ in 0..lines {
            let (mut caller, _) = listener.accept()?;
            let mut decoder = TcpStream::connect((host.as_str(), port))?;
            let (mut back, mut forth) = (decoder.try_clone()?, caller.try_clone()?);
            thread::spawn(move || std::io::copy(&mut back, &mut forth));
            let count = count.clone();
            thread::spawn(move || {
                let whole = std::io::copy(&mut (&mut caller).take(bytes as u64), &mut decoder).unwrap_or(0);
                count.fetch_add(usize::from(whole == bytes as u64), Ordering::Relaxed);
                for socket in [&caller, &decoder] {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            });
        }
        Ok(())
    });
    Ok((address, cut))
}

/// Lines that break within a step are taken up again, wherever they break, and no bit changes.
#[test]
fn a_lost_line_is_taken_up_again() -> Test {
    let decoder = served()?;
    let mut experiment = experiment("fednano");
    experiment.federation.loss_at = LossAt::Client;
    // No question may be longer than what a line carries.
    experiment.evaluation.batch_size = 4;
    let (.., here) = run(&experiment)?;
    for bytes in [200_000, 150_001] {
        let (address, cut) = unreliable(&decoder, bytes, usize::MAX)?;
        let (.., mut there) = run_on(&experiment, remote(&address)?)?;
        measured(&mut there);
        assert!(cut.load(Ordering::Relaxed) > 1, "no line was cut");
        assert!(self::bytes(&here)? == self::bytes(&there)?, "a cut line changed a number");
    }
    Ok(())
}

/// A decoder that is gone for good ends the run, with its name.
#[test]
fn a_lost_decoder_is_named() -> Test {
    let (address, _) = unreliable(&served()?, 30_000, 1)?;
    let error = run_on(&experiment("fednano"), remote(&address)?).err().context("the decoder is gone")?;
    let told = format!("{error:#}");
    assert!(told.contains(&address.to_string()) && told.contains("called again in vain"), "{told}");
    assert!(Remote::new(shared_backbone(), place(&"tcp://127.0.0.1:1".parse()?)).is_err());
    Ok(())
}

/// A frame: a head behind its length, and a body.
fn frame(head: &str, body: &[u8]) -> Vec<u8> {
    [&(head.len() as u32).to_le_bytes(), head.as_bytes(), body].concat()
}

fn hello(protocol: u32, weights: &str, dtype: &str) -> Vec<u8> {
    frame(&format!(r#"{{"hello":{{"protocol":{protocol},"weights":"{weights}","dtype":"{dtype}"}}}}"#), &[])
}

/// A forward pass. Its layout: how many sequences; of each its prefix, its branches, of each of those its tokens and where they are read.
fn forward(layout: &[u8], rest: &str, body: &[u8]) -> Vec<u8> {
    frame(&format!(r#"{{"forward":{{{rest}}}}}"#), &[layout, body].concat())
}

/// 2^60, as numbers of a layout are written.
const EXA: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

/// What is answered to the last of these frames; the ones before it are taken.
fn answer(address: &Address, frames: &[Vec<u8>]) -> Result<String> {
    let mut line = Line::connect(address, &Security::default(), NOT_LONG)?;
    let mut said = String::new();
    for frame in frames {
        line.send(frame)?;
        let answer = line.receive(1 << 20)?.context("closed without a word")?;
        said = String::from_utf8_lossy(&answer[4..]).into_owned();
    }
    Ok(said)
}

/// Whoever calls with another model, type or protocol is told so; whoever asks for what cannot be, too; and the decoder goes on.
#[test]
fn callers_that_lie_or_mean_harm_are_refused() -> Test {
    let address = served()?;
    let good = hello(2, "drawn", "f32");
    assert!(answer(&address, std::slice::from_ref(&good))?.contains("ready"));
    let plain = r#""activations":"f32","loss_at":"client","keep":true"#;
    let labelled = r#""activations":"f32","loss_at":"server","keep":true"#;
    let one = &[1, 1, 1, 1, 0];
    let hidden = |number: f32| number.to_le_bytes().repeat(backbone().spec().d_model);
    let labels = |label: u32| [hidden(0.5), label.to_le_bytes().to_vec()].concat();
    assert!(answer(&address, &[good.clone(), forward(one, plain, &hidden(0.5))])?.contains("said"));
    assert!(answer(&address, &[good.clone(), forward(one, labelled, &labels(3))])?.contains("said"));
    let asked = forward(one, plain, &hidden(0.5));
    let backward = |number: f32, count: usize| frame(r#""backward""#, &number.to_le_bytes().repeat(count));
    assert!(answer(&address, &[good.clone(), asked.clone(), backward(0.1, 320)])?.contains("gradient"));

    for (first, second, third, why) in [
        (hello(1, "drawn", "f32"), None, None, "this side speaks protocol 2, the caller 1"),
        (hello(2, "other", "f32"), None, None, "this is the decoder of `tiny`, weights drawn; the caller's half has other"),
        (hello(2, "drawn", "bf16"), None, None, "weights are f32 here and bf16 there"),
        (asked.clone(), None, None, "nobody has said hello"),
        (Vec::new(), None, None, "has no head"),
        (frame("{}", &[])[..5].to_vec(), None, None, "ends within its head"),
        ([0xff; 9].to_vec(), None, None, "has a head of 4294967295 bytes"),
        (frame(r#"{"do":"harm"}"#, &[]), None, None, "says nothing known"),
        (good.clone(), Some(backward(0.1, 1)), None, "no forward pass is kept"),
        (good.clone(), Some(forward(&[0], plain, &[])), None, "of 0 sequences"),
        (good.clone(), Some(forward(&[2, 1, 1, 1], plain, &[])), None, "a layout that cannot be read"),
        (good.clone(), Some(forward(&EXA, plain, &[])), None, "a layout that cannot be read"),
        (good.clone(), Some(forward(&[0xff; 20], plain, &[])), None, "a layout that cannot be read"),
        (good.clone(), Some(forward(&[1, 0, 1, 1, 0], plain, &[])), None, "empty"),
        (good.clone(), Some(forward(&[&[1], &EXA[..], &[1, 1, 0]].concat(), plain, &[])), None, "longer than"),
        (good.clone(), Some(forward(&[1, 1, 1, 2, 3], plain, &[])), None, "read beyond its end"),
        (good.clone(), Some(forward(&[2, 0x80, 0x7d, 1, 1, 0, 0x80, 0x7d, 1, 1, 0], plain, &[])), None, "a mask of"),
        (good.clone(), Some(forward(one, plain, &hidden(0.5)[4..])), None, "expected rows of"),
        (good.clone(), Some(forward(one, plain, &hidden(0.5).repeat(2))), None, "numbers came for 1 tokens"),
        (good.clone(), Some(forward(one, plain, &hidden(f32::NAN))), None, "not finite"),
        (good.clone(), Some(forward(one, labelled, &[0; 3])), None, "shorter than its labels"),
        (good.clone(), Some(forward(one, labelled, &labels(320))), None, "label 320 is no token"),
        (good.clone(), Some(asked.clone()), Some(backward(0.1, 319)), "expected rows of"),
        (good.clone(), Some(asked.clone()), Some(backward(0.1, 640)), "a gradient of 640 numbers came for 320"),
        (good.clone(), Some(asked.clone()), Some(backward(f32::INFINITY, 320)), "not finite"),
    ] {
        let frames: Vec<Vec<u8>> = [Some(first), second, third].into_iter().flatten().collect();
        let said = answer(&address, &frames)?;
        assert!(said.contains(r#"{"no":"#) && said.contains(why), "expected {why:?}: {said}");
    }
    let Address::Tcp(host, port) = &address else { anyhow::bail!("not tcp") };
    for harm in [[0xff; 8].to_vec(), (1u64 << 60).to_le_bytes().to_vec(), vec![1]] {
        TcpStream::connect((host.as_str(), *port))?.write_all(&harm)?;
    }
    check_same(&experiment("fedavg-nano"), &address)?;
    Ok(())
}

/// Who cannot train through a decoder elsewhere is told why.
#[test]
fn what_needs_its_own_decoder_is_refused() -> Test {
    let through = |name: &str, kind: Option<&str>| -> Result<String> {
        let mut experiment = experiment(name);
        experiment.federation.decoder = Some("tcp://127.0.0.1:1".into());
        experiment.adapter.kind = kind.map(str::to_owned);
        let (row, study) = study_behind(&experiment, shared_backbone())?;
        Ok(study::check_decoder(&experiment, &row, study.adapter()).err().map(|error| error.to_string()).unwrap_or_default())
    };
    assert!(through("fedavg-lora", None)?.contains("method `fedavg-lora` trains adapters inside the decoder"));
    assert!(through("zero-shot", None)?.contains("has no clients that train by themselves"));
    assert!(through("centralized-nano", None)?.contains("has no clients"));
    assert_eq!(through("fednano", None)?, "");
    let mut checkpointed = experiment("fednano");
    checkpointed.federation.decoder = Some("tcp://127.0.0.1:1".into());
    checkpointed.backbone.checkpoint = Checkpoint::Block;
    let (row, study) = study_behind(&checkpointed, shared_backbone())?;
    let error = study::check_decoder(&checkpointed, &row, study.adapter()).expect_err("a key that the decoder never sees");
    assert!(error.to_string().starts_with("backbone.checkpoint: with federation.decoder"), "{error}");

    let mut experiment = experiment("feddat");
    experiment.adapter.kind = Some("nano".into());
    let error = run_on(&experiment, remote(&served()?)?).err().context("logits stay at the decoder")?;
    assert!(format!("{error:#}").contains("federation.loss_at = \"server\": this method compares logits"), "{error:#}");
    Ok(())
}

/// Each half has what it is for, and says so of the rest; together they say what the whole says.
#[test]
fn halves_make_a_whole() -> Test {
    setup();
    let backbones = Backbones::default();
    let open = |half| backbones.open_half("nano", half, DType::F32, &Device::Cpu);
    let (whole, client, decoder) = (open(Half::Whole)?, open(Half::Client)?, open(Half::Decoder)?);
    assert!([&client, &decoder].iter().all(|half| half.weights_sha256() == whole.weights_sha256()));
    let sequence = Sequence { prefix: vec![5, 6, 7], images: vec![], branches: vec![Branch::answer(vec![8, 9])] };
    let batch = Batch::new(&[&sequence], whole.text().image_token(), DType::F32, &Device::Cpu)?;
    let none = Tensor::zeros((0, whole.spec().image_tokens, whole.spec().d_model), DType::F32, &Device::Cpu)?;
    let embeddings = client.embed(&batch, &none)?;
    let hidden = client.halves()?.enter(&embeddings, &Untouched)?;
    let context = decoder.halves()?.context(&Batch::wordless(&batch.layout, DType::F32, &Device::Cpu)?)?;
    let said = decoder.halves()?.finish(&hidden, &context, &Untouched)?.to_vec2::<f32>()?;
    assert_eq!(said, whole.decode(&whole.embed(&batch, &none)?, &Untouched)?.to_vec2::<f32>()?);
    let told = |result: candle_core::Result<Tensor>| result.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told(client.decode(&embeddings, &Untouched)).contains("has no decoder"));
    assert!(told(decoder.encode(&Tensor::zeros((1, 3, 64, 64), DType::F32, &Device::Cpu)?)).contains("has no eyes"));
    Ok(())
}

/// `fedbench decoder`, and where it listens.
struct Program(Child, String);

impl Program {
    fn start(desk: &Desk, rest: &[&str]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
        command.args(["decoder", "--backbone", "nano", "--listen"]).args(rest).current_dir(desk.path());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("decoder of nano: ").context(line.clone())?;
        Ok(Self(child, address.into()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, with a token and over TLS: one run, whose name does not say where its decoder was; the decoder ends with it.
#[test]
fn the_program_trains_through_a_decoder() -> Test {
    let desk = Desk::new();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/line/fixtures/tls");
    desk.write("x.toml", &format!("federation = {{ rounds = 1, local_steps = 2, loss_at = \"client\" }}\n{MINIMAL}"));
    desk.write("token", "0123456789abcdef0123456789abcdef\n");
    Command::new("chmod").args(["600", "token"]).current_dir(desk.path()).status()?;
    desk.expect(&["run", "x.toml", "--quiet", "--out", "here"], 0, &["accuracy"]);

    let mut program = Program::start(&desk, &["tls://localhost:0", "--tls", tls, "--token", "token", "--once"])?;
    let through = ["run", "x.toml", "--quiet", "--out", "there", "--decoder", &program.1.clone(), "--decoder-tls", tls];
    desk.expect(&through, 1, &["asks for a token"]);
    let through = [
        "run",
        "x.toml",
        "--quiet",
        "--out",
        "there",
        "--decoder",
        &program.1.clone(),
        "--decoder-tls",
        tls,
        "--decoder-token",
        "token",
    ];
    desk.expect(&through, 0, &["accuracy"]);
    assert!(program.0.wait()?.success(), "it ends with its caller");

    let runs =
        ["here", "there"].map(|out| std::fs::read_dir(desk.path().join(out)).expect("runs").flatten().next().expect("a run"));
    assert_eq!(runs[0].file_name(), runs[1].file_name());
    for file in ["adapters.safetensors", "predictions.parquet", "partition.json"] {
        let [here, there] = runs.each_ref().map(|run| std::fs::read(run.path().join(file)).expect(file));
        assert!(here == there, "{file}");
    }
    let files = std::fs::read_dir(runs[1].path())?.chain(std::fs::read_dir(runs[1].path().join("checkpoint"))?);
    for file in files.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?.into_iter().filter(|file| file.is_file()) {
        let content = std::fs::read(file)?;
        assert!(!content.windows(16).any(|window| window == b"0123456789abcdef"), "a secret in a run's folder");
    }
    desk.expect(&["report", "there", "--out", "report", "--format", "md"], 0, &[]);
    let report = std::fs::read_to_string(desk.path().join("report/report.md"))?;
    assert!(report.contains("activations sent, socket"), "{report}");
    Ok(())
}
