//! FedDAT's checks (ARCHITECTURE.md, laws): its two adapters and what teaches which.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use federation::{Answers, Client, Method, Round, Scope, Task, Update};
use models::adapter::{AdapterSpec, Adapters, KINDS};
use schema::Experiment;
use study::Study;

use crate::support::{Test, distance, normal, within};
use crate::tiny::{difference_in_effect, effect, experiment, study};

/// FedDAT on a spec's adapters, after a first and a second round of one client.
fn feddat_client<'s>(study: &'s Study, method: &dyn Method) -> Result<(Client<'s>, Vec<Adapters>, Vec<Update>)> {
    let mut client = study.federation().clients(Scope::Shard).remove(0);
    let (mut local, mut updates) = (vec![study.initial().clone()], Vec::new());
    for index in 1..=2 {
        let round = Round { index, total: 2, clients: 3 };
        client.begin_round(round)?;
        let received = method.send(0, study.initial(), round)?;
        let before = received.get("adapters")?.to_bytes()?;
        updates.push(method.train(&mut client, &received)?);
        assert_eq!(received.get("adapters")?.to_bytes()?, before, "training changed what was received");
        local.push(client.memory.get("local").context("no local adapters")?.clone());
    }
    Ok((client, local, updates))
}

/// FedDAT: A_C moves in every round, not in the first alone; A_S alone is sent; the teacher is the mean of both at every site; and
/// where both are the same, all three ways to answer are. For every adapter kind.
#[test]
fn feddat_keeps_its_adapters_apart() -> Test {
    for kind in KINDS {
        let mut experiment = experiment("feddat");
        experiment.adapter.kind = Some(kind.name.into());
        experiment.adapter.rank = kind.has_rank().then_some(2);
        let (row, study) = study(&experiment)?;
        let (spec, method) = (study.adapter(), (row.build)(&BTreeMap::new())?);
        let (client, local, updates) = feddat_client(&study, &*method)?;
        for (name, start) in study.initial().iter() {
            let at = |round: usize| local[round].get(name).context("no such tensor");
            let (first, second) = (distance(at(1)?, start)?, distance(at(2)?, at(1)?)?);
            assert!(first > 1e-4 && second > 1e-4, "{}: `{name}` of A_C moved by {first} and {second}", kind.name);
        }
        for update in &updates {
            assert_eq!(update.sets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["adapters"]);
            let shapes = |set: &Adapters| set.iter().map(|(name, x)| (name.clone(), x.dims().to_vec())).collect::<Vec<_>>();
            assert_eq!(shapes(update.set("adapters")?), shapes(study.initial()));
        }
        let shared = updates[1].set("adapters")?;
        let teacher = method.personalize(&client, shared)?.context("FedDAT personalizes")?;
        for site in &spec.sites {
            let mean = ((effect(spec, site, shared)? + effect(spec, site, &local[2])?)? / 2.0)?;
            within(
                &format!("{}: the teacher at {}", kind.name, site.name),
                distance(&effect(spec, site, &teacher)?, &mean)?,
                1e-6,
            );
        }
        let both = spec.mix(&[(0.5, shared), (0.5, shared)])?;
        within(&format!("{}: a mean of the same", kind.name), difference_in_effect(spec, &both, shared)?, 1e-6);
    }
    Ok(())
}

/// FedDAT's distillation: nothing between the same logits, T times the difference of the softened probabilities as a gradient, and
/// none for the teacher.
#[test]
fn distillation_is_scaled_by_its_temperature() -> Test {
    for temperature in [1.0, 3.0, 10.0] {
        let student = candle_core::Var::from_tensor(&normal("student", (4, 7), DType::F64)?)?;
        let teacher = candle_core::Var::from_tensor(&normal("teacher", (4, 7), DType::F64)?)?;
        let same = baselines::feddat::distill(&student, &student, temperature)?.to_scalar::<f64>()?;
        within("distillation of the same", same.abs(), 1e-12);
        let gradients = baselines::feddat::distill(&teacher, &student, temperature)?.backward()?;
        let soft = |x: &Tensor| models::nn::softmax(&(x / temperature)?);
        let wanted = ((soft(&student)? - soft(&teacher)?)? * (temperature / 4.0))?;
        within("gradient of distillation", distance(gradients.get(&student).context("no gradient")?, &wanted)?, 1e-12);
        assert!(gradients.get(&teacher).is_none(), "the teacher got a gradient");
    }
    Ok(())
}

/// What distillation compares is the answer tokens' logits: neither padding nor the company of a longer example changes them.
#[test]
fn answers_do_not_depend_on_company() -> Test {
    let (_, study) = study(&experiment("feddat"))?;
    let mut by_length: Vec<usize> = (0..study.train().len()).collect();
    by_length.sort_by_key(|&example| study.train()[example].sequence.len());
    let (short, long) = (by_length[0], by_length[by_length.len() - 1]);
    assert!(study.train()[short].sequence.len() < study.train()[long].sequence.len());
    let alone = study.answers(&[short], study.initial())?.logits()?.clone();
    let rows = alone.dim(0)?;
    let together = study.answers(&[short, long], study.initial())?.logits()?.narrow(0, 0, rows)?;
    within("logits beside a longer example", distance(&together, &alone)?, 1e-5);
    Ok(())
}

/// A study that remembers the adapters and the logits of every pass.
struct Witness<'s> {
    study: &'s Study,
    passes: Mutex<Vec<(Adapters, Tensor)>>,
}

impl Task for Witness<'_> {
    fn experiment(&self) -> &Experiment {
        Task::experiment(self.study)
    }

    fn adapter(&self) -> &AdapterSpec {
        Task::adapter(self.study)
    }

    fn initial(&self) -> &Adapters {
        Task::initial(self.study)
    }

    fn examples(&self) -> usize {
        self.study.examples()
    }

    fn length(&self, example: usize) -> usize {
        self.study.length(example)
    }

    fn raw_bytes(&self, example: usize) -> u64 {
        self.study.raw_bytes(example)
    }

    fn answers(&self, examples: &[usize], adapters: &Adapters) -> federation::Result<Answers> {
        let answers = self.study.answers(examples, adapters)?;
        self.passes.lock().expect("one thread").push((adapters.clone(), answers.logits()?.clone()));
        Ok(answers)
    }
}

/// The three passes of a batch: nothing is in training in the teacher's; A_S alone, and all of it, in the student's; A_C alone, and
/// all of it, inside the dual one. So neither step can give the other adapter a gradient.
#[test]
fn a_step_trains_one_adapter() -> Test {
    let (row, study) = study(&experiment("feddat"))?;
    let witness = Witness { study: &study, passes: Mutex::default() };
    let method = (row.build)(&BTreeMap::new())?;
    let mut client = Client::new(0, &witness, study.shards()[0].train.clone(), 3);
    let round = Round { index: 1, total: 2, clients: 3 };
    client.begin_round(round)?;
    method.train(&mut client, &method.send(0, study.initial(), round)?)?;

    let passes = witness.passes.into_inner().expect("one thread");
    assert_eq!(passes.len(), 9);
    for pass in passes.chunks(3) {
        let [(_, teacher), (shared, student), (_, dual)] = pass else { panic!("three passes a batch") };
        assert!(!teacher.track_op(), "the teacher's pass can be descended");
        let (of_student, of_dual) = (student.sum_all()?.backward()?, dual.sum_all()?.backward()?);
        for (name, tensor) in shared.iter() {
            assert!(tensor.is_variable() && of_student.get(tensor).is_some(), "`{name}` of A_S is not trained in its own pass");
            assert!(of_dual.get(tensor).is_none(), "`{name}` of A_S gets a gradient from A_C's pass");
        }
        let trained: Vec<_> = of_dual.get_ids().filter(|id| of_student.get_ids().all(|other| other != *id)).collect();
        assert!(trained.len() >= shared.iter().count(), "not all of A_C is trained in its own pass");
    }
    Ok(())
}
