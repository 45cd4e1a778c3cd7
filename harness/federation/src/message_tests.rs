use candle_core::{Device, Tensor};
use models::adapter::Adapters;
use models::flops::Flops;
use schema::Prediction;
use schema::card::Scoring;
use schema::experiment::Wire;
use schema::metrics::Variant;

use super::*;
use crate::link::{Carried, Traffic};
use crate::order::{Judged, Kind, Trained};
use crate::{Round, Sets};

fn payload() -> Payload {
    let set: Adapters = [("x".to_owned(), Tensor::new(&[1.5f32, -0.1], &Device::Cpu).expect("a tensor"))].into_iter().collect();
    Payload::new(&Sets::default().with("adapters", set.clone()).with("control", set), &Sets::default(), Wire::Int8)
        .expect("encoded")
}

fn orders() -> Vec<Order> {
    let round = Round { index: 2, total: 3, clients: 9 };
    [Kind::Train { share_of_steps: 1.0 / 3.0 }, Kind::Judge { everywhere: true }, Kind::Own]
        .map(|kind| Order { client: 7, round, after: 1, kind, payload: payload() })
        .to_vec()
}

fn prediction() -> Prediction {
    Prediction {
        example: "icongen/7".into(),
        client: Some(7),
        shard: None,
        scoring: Scoring::OptionLikelihood,
        prediction: "\u{1b}[31m\"".into(),
        gold: "two".into(),
        correct: false,
        parsed: true,
        option_scores: vec![-0.1, -1.0 / 3.0, 5.445_787_634_453_451e-44, -0.0],
        gold_option: Some(1),
        score: Some(0.3),
        further: [("f64".to_owned(), 1.0 / 7.0), ("rouge".to_owned(), 40.0)].into_iter().collect(),
    }
}

fn replies() -> Vec<Reply> {
    let trained = |loss: f64| Trained {
        num_examples: 5,
        loss,
        steps: 2,
        examples: 4,
        activations: Traffic { uplink: 1 << 40, downlink: 3 },
        carried: Some(Carried { payload: Traffic { uplink: 5, downlink: 6 }, ..Carried::default() }),
        clipped: true,
        finite: false,
        payload: payload(),
    };
    let judged =
        Judged { own: Some(vec![prediction()]), variants: vec![(Variant::Shared, vec![prediction()]), (Variant::Local, vec![])] };
    [
        Done::Trained(trained(0.1 + 0.2)),
        Done::Trained(trained(f64::NAN)),
        Done::Judged(judged),
        Done::Judged(Judged::default()),
        Done::Own(Some(payload())),
        Done::Own(None),
        Done::Diverged { loss: f64::NEG_INFINITY },
        Done::Lost("a line that broke".into()),
    ]
    .map(|done| Reply { client: 7, round: 2, state_lost: true, flops: Flops { before_decoder: 1e17 / 3.0, decoder: 0.0 }, done })
    .to_vec()
}

/// Read and written again, a message has the same bytes, and so the same numbers to the bit.
fn twice<M: Message + std::fmt::Debug>(message: &M) {
    let bytes = message.to_bytes().expect("written");
    let read = M::from_bytes(&bytes).expect("read");
    assert_eq!(format!("{read:?}"), format!("{message:?}"));
    assert_eq!(read.to_bytes().expect("written"), bytes);
}

#[test]
fn messages_come_back_as_they_are() {
    orders().iter().for_each(twice);
    replies().iter().for_each(twice);
}

/// The head of a message with some of its text replaced, its length mended.
fn headed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes")) as usize;
    let head = String::from_utf8(bytes[16..16 + length].to_vec()).expect("text");
    assert!(head.contains(from), "{from} is in {head}");
    let head = head.replacen(from, to, 1);
    [&bytes[..8], &(head.len() as u64).to_le_bytes(), head.as_bytes(), &bytes[16 + length..]].concat()
}

#[test]
fn damaged_messages_are_refused() {
    let bytes = orders()[0].to_bytes().expect("written");
    let sets = payload().bytes() as usize;
    let with = |at: usize, patch: &[u8]| [&bytes[..at], patch, &bytes[at + patch.len()..]].concat();
    for (damaged, said) in [
        (Vec::new(), "is cut: it has 0 bytes"),
        (bytes[..3].to_vec(), "is cut: it has 3 bytes"),
        (bytes[..15].to_vec(), "is cut: it has 15 bytes"),
        (bytes[..100].to_vec(), "is cut: its head should have"),
        (bytes[..bytes.len() - sets].to_vec(), "is cut: its set `adapters` should have"),
        (bytes[..bytes.len() - 1].to_vec(), "is cut: its set `control` should have"),
        ([&bytes[..], b"xy"].concat(), "goes on for 2 bytes behind its last set"),
        (with(0, b"GIF8"), "does not begin with `fedm`"),
        (with(4, &2u32.to_le_bytes()), "is of version 2; version 1 is read here"),
        (with(8, &u64::MAX.to_le_bytes()), "speaks of a head of 18446744073709551615 bytes; at most 268435456"),
        (with(16, b"["), "has a head that is malformed"),
        (with(16, &[0xff]), "has a head that is malformed"),
        (headed(&bytes, "\"client\":7", "\"client\":-7"), "has a head that is malformed: invalid value: integer `-7`"),
        (headed(&bytes, "\"client\":7,", ""), "missing field `client`"),
        (headed(&bytes, "\"client\":7", "\"client\":7,\"more\":1"), "unknown field `more`"),
        (headed(&bytes, "\"train\"", "\"steal\""), "unknown variant `steal`"),
        (headed(&bytes, "\"bytes\":", "\"bytes\":9999999999999999"), "is cut: its set `adapters` should have 9999999999999999"),
        (headed(&bytes, "\"share_of_steps\":", "\"share_of_steps\":0.5,\"x\":"), "has a head that is malformed"),
    ] {
        let error = Order::from_bytes(&damaged).expect_err(said).of_client(7, 2).to_string();
        assert!(error.starts_with("client 7, round 2: its message ") && error.contains(said), "{said}: {error}");
    }
    assert!(Reply::from_bytes(&bytes).is_err(), "an order is no reply");
    let error = read::<Order>(&bytes, 99).expect_err("too long");
    assert_eq!(error, format!("has {} bytes; at most 99 are read", bytes.len()));
}

/// No byte that is lost, and none that is another, is a panic or memory without bound, wherever it is.
#[test]
fn no_byte_is_trusted() {
    for bytes in replies().iter().map(|reply| reply.to_bytes().expect("written")) {
        for at in 0..bytes.len() {
            assert!(Reply::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let Ok(reply) = Reply::from_bytes(&damaged) else { continue };
                let opened = reply.payload().map(|payload| payload.open(&Sets::default(), &Device::Cpu));
                // What is still a payload is one of two numbers in two sets.
                if let Some(Ok(sets)) = opened {
                    assert_eq!(sets.num_parameters(), 4, "changed at {at}");
                }
            }
        }
    }
}

#[test]
fn what_nobody_could_have_done_is_refused() {
    let mut reply = replies().remove(0);
    assert_eq!(reply.check(), Ok(()));
    let Done::Trained(trained) = &mut reply.done else { panic!("it trained") };
    trained.steps = usize::MAX;
    assert_eq!(reply.check(), Err("speaks of 18446744073709552000 steps; expected at most 1e15".into()));
    let mut reply = replies().remove(3);
    reply.flops.decoder = f64::NAN;
    assert_eq!(reply.check(), Err("speaks of NaN operations; expected at most 1e30".into()));
}
