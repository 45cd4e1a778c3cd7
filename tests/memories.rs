//! Do clients remember what they did whatever becomes of their hosts and messages, and is it said where they do not?

use std::path::PathBuf;

use anyhow::{Context, Result};
use federation::order::{Done, Kind};
use federation::{self, Engine, Host, InProcess, Order, Outcome, Reply, Watch};
use schema::Experiment;
use schema::metrics::Metric;
use study::Study;

use crate::support::Test;
use crate::tiny::{bytes, experiment, study};
use crate::workers::{federated, in_process, run, shard_methods};

/// What happens to a host, or to a message, in a round.
#[derive(Clone, Copy, PartialEq)]
pub enum Mishap {
    /// The host is killed before every exchange, and another goes on from what was kept.
    Restarts,
    /// In the second round client 1 never gets its order.
    OrderLost,
    /// In the second round client 1 trains, and its reply is lost; then its host is killed.
    ReplyLost,
    /// The same, and the host stays.
    ReplyLostAlone,
    /// In the second round and in the third client 1 trains, and its replies are lost.
    ReplyLostTwice,
    /// In neither round client 1 gets its order.
    OrderLostTwice,
    /// What was kept is gone before the second round.
    Forgotten,
    /// It is gone before the second round is judged.
    ForgottenBeforeJudging,
    /// It is gone before clients give their adapters away.
    ForgottenAtTheEnd,
}

/// What clients remember, in files of one folder.
struct InFolder(PathBuf);

impl federation::Memories for InFolder {
    fn keep(&self, client: usize, round: usize, before: usize, bytes: &[u8]) -> federation::Result<()> {
        std::fs::write(self.0.join(format!("{client}-{round}")), bytes).expect("kept");
        for other in (0..round).filter(|other| *other != before) {
            let _ = std::fs::remove_file(self.0.join(format!("{client}-{other}")));
        }
        Ok(())
    }

    fn recall(&self, client: usize, round: usize) -> federation::Result<Option<Vec<u8>>> {
        Ok(std::fs::read(self.0.join(format!("{client}-{round}"))).ok())
    }
}

/// All clients at one host, to which something happens.
pub struct Unlucky<'a> {
    study: &'a Study,
    folder: tempfile::TempDir,
    host: Option<Host<'a>>,
    mishap: Mishap,
}

impl<'a> Unlucky<'a> {
    /// Over a study's clients.
    pub fn new(study: &'a Study, mishap: Mishap) -> Result<Self> {
        Ok(Self { study, folder: tempfile::tempdir()?, host: None, mishap })
    }

    fn host(&mut self) -> &mut Host<'a> {
        let (study, folder) = (self.study, &self.folder);
        self.host.get_or_insert_with(|| study.host().expect("a host").remembering(InFolder(folder.path().into())))
    }
}

impl Engine for Unlucky<'_> {
    fn wave(&self) -> usize {
        3
    }

    fn carry_out(&mut self, mut orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        use Mishap::{
            Forgotten, ForgottenAtTheEnd, ForgottenBeforeJudging, OrderLost, OrderLostTwice, ReplyLost, ReplyLostAlone,
            ReplyLostTwice, Restarts,
        };
        let mishap = self.mishap;
        let is_time = |order: &Order| match mishap {
            Restarts => true,
            ForgottenBeforeJudging => order.round.index == 2 && matches!(order.kind, Kind::Judge { .. }),
            ForgottenAtTheEnd => matches!(order.kind, Kind::Own),
            OrderLostTwice | ReplyLostTwice => [2, 3].contains(&order.round.index) && matches!(order.kind, Kind::Train { .. }),
            _ => order.round.index == 2 && matches!(order.kind, Kind::Train { .. }),
        };
        let struck = |order: &Order| is_time(order) && order.client == 1;
        let strikes = orders.iter().any(struck);
        if matches!(mishap, Restarts | Forgotten | ForgottenBeforeJudging | ForgottenAtTheEnd) && orders.iter().any(is_time) {
            self.host = None;
        }
        if matches!(mishap, Forgotten | ForgottenBeforeJudging | ForgottenAtTheEnd) && strikes {
            let kept = std::fs::read_dir(self.folder.path()).expect("a folder");
            let of_client_1 = |file: &std::fs::DirEntry| file.file_name().to_string_lossy().starts_with("1-");
            kept.flatten().filter(of_client_1).for_each(|file| std::fs::remove_file(file.path()).expect("removed"));
        }
        let lost: Vec<Reply> =
            orders.iter().filter(|order| struck(order)).map(|order| Reply::lost(order, "its line broke")).collect();
        if matches!(mishap, OrderLost | OrderLostTwice) {
            orders.retain(|order| !struck(order));
        }
        let mut replies = self.host().carry_out(orders, watch)?;
        if strikes && matches!(mishap, OrderLost | OrderLostTwice | ReplyLost | ReplyLostAlone | ReplyLostTwice) {
            replies.retain(|reply| reply.client != 1);
            replies.extend(lost);
        }
        if strikes && mishap == ReplyLost {
            self.host = None;
        }
        Ok(replies)
    }
}

fn unlucky(experiment: &Experiment, mishap: Mishap) -> Result<Outcome> {
    let (_, study) = study(experiment)?;
    run(&study, &mut Unlucky::new(&study, mishap)?)
}

/// A host that is killed before every exchange gives the same run, with every method: what clients remember is in its files.
#[test]
fn hosts_go_on_from_what_was_kept() -> Test {
    for method in shard_methods() {
        let mut experiment = federated(method);
        experiment.federation.rounds = 3;
        experiment.federation.cohort = 0.6;
        let (whole, restarted) = (in_process(&experiment)?, unlucky(&experiment, Mishap::Restarts)?);
        assert!(bytes(&whole)? == bytes(&restarted)?, "{method}");
    }
    Ok(())
}

/// An update that never arrived leaves no trace: it does not matter whether its order was lost, or its reply, or its host then too.
#[test]
fn what_never_arrived_leaves_no_trace() -> Test {
    let mut four = federated("scaffold");
    four.federation.rounds = 4;
    let (never, lost) = (unlucky(&four, Mishap::OrderLostTwice)?, unlucky(&four, Mishap::ReplyLostTwice)?);
    assert!(bytes(&never)? == bytes(&lost)?);
    assert_eq!((never.recorded(Metric::DroppedOut).count(), never.recorded(Metric::StateLost).count()), (2, 0));
    for method in shard_methods() {
        let mut experiment = federated(method);
        experiment.federation.rounds = 3;
        let never = unlucky(&experiment, Mishap::OrderLost)?;
        let dropped: Vec<_> =
            never.measured.records.iter().filter(|r| r.metric == Metric::DroppedOut).map(|r| (r.round, r.client)).collect();
        assert_eq!(dropped, [(2, Some(1))], "{method}");
        for mishap in [Mishap::ReplyLost, Mishap::ReplyLostAlone] {
            let lost = unlucky(&experiment, mishap)?;
            assert!(bytes(&never)? == bytes(&lost)?, "{method}");
        }
        assert!(bytes(&never)? != bytes(&in_process(&experiment)?)?, "{method}: it makes a difference that it is missing");
    }
    Ok(())
}

/// A client whose host forgot what it remembered begins anew, and that is recorded; before it has trained again, nobody judges it, and
/// nothing is given away for its adapters.
#[test]
fn what_is_forgotten_is_recorded() -> Test {
    let recorded = |outcome: &Outcome, metric: Metric| -> Vec<_> {
        outcome
            .measured
            .records
            .iter()
            .filter(|record| record.metric == metric)
            .map(|record| (record.round, record.client))
            .collect()
    };
    let mut experiment = federated("ditto");
    experiment.federation.rounds = 3;
    let whole = in_process(&experiment)?;
    let forgetful = unlucky(&experiment, Mishap::Forgotten)?;
    assert_eq!((recorded(&forgetful, Metric::StateLost), recorded(&forgetful, Metric::NotJudged)), (vec![(2, Some(1))], vec![]));
    assert!(bytes(&whole)? != bytes(&forgetful)?);

    let forgetful = unlucky(&experiment, Mishap::ForgottenBeforeJudging)?;
    let of_it = [Metric::NotJudged, Metric::StateLost].map(|metric| recorded(&forgetful, metric));
    assert_eq!(of_it, [vec![(2, Some(1))], vec![(3, Some(1))]]);

    let forgetful = unlucky(&experiment, Mishap::ForgottenAtTheEnd)?;
    assert_eq!(recorded(&forgetful, Metric::NotJudged), [(3, Some(1))]);
    assert_eq!(forgetful.personal.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [0, 2, 3, 4]);
    Ok(())
}

/// Clients with adapters of their own that cannot be reached to be judged are recorded, and the others are judged without them.
#[test]
fn who_cannot_be_judged_is_recorded() -> Test {
    struct Gone<'a>(InProcess<'a>, usize);
    impl Engine for Gone<'_> {
        fn wave(&self) -> usize {
            usize::MAX
        }

        fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
            let mut replies = self.0.carry_out(orders, watch)?;
            let judged = |done: &Done| matches!(done, Done::Judged(_) | Done::Own(_));
            replies.iter_mut().filter(|reply| judged(&reply.done)).take(self.1).for_each(|reply| {
                reply.done = Done::Lost("gone".into());
            });
            Ok(replies)
        }
    }
    let experiment = experiment("ditto");
    let (_, study) = study(&experiment)?;
    let outcome = run(&study, &mut Gone(InProcess::new(study.host()?), 1))?;
    let recorded: Vec<_> =
        outcome.measured.records.iter().filter(|r| r.metric == Metric::NotJudged).map(|r| (r.round, r.client)).collect();
    assert_eq!(recorded, [(2, Some(0))]);
    assert_eq!(outcome.judgement.clients.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    assert!(outcome.predictions.iter().all(|p| p.client != Some(0)) && outcome.personal.len() == 2);
    let nobody = run(&study, &mut Gone(InProcess::new(study.host()?), 3)).err().context("nobody was judged")?.to_string();
    assert!(nobody.contains("it is lost: gone"), "{nobody}");
    Ok(())
}
