use candle_core::Tensor;
use serde_json::{Value, json};

use super::*;
use crate::Error;

fn drawn(name: &str) -> Adapters {
    let mut stream = seed::Seed::new(4).stream(name);
    let mut tensor = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).expect("values fill their shape")
    };
    [("a".to_owned(), tensor(&[3, 5])), ("b".to_owned(), tensor(&[7])), ("c".to_owned(), tensor(&[2, 4]))].into_iter().collect()
}

fn adapters(set: Adapters) -> Sets {
    Sets::default().with(ADAPTERS, set)
}

/// What the other end makes of a set, and the bytes that are counted.
fn carried(set: &Adapters, base: Option<&Adapters>, wire: Wire) -> (Adapters, u64) {
    let received = base.map_or_else(Sets::default, |base| adapters(base.clone()));
    let payload = Payload::new(&adapters(set.clone()), &received, wire).expect("encoded");
    let sets = payload.open(&received, &Device::Cpu).expect("decoded");
    (sets.get(ADAPTERS).expect("the set").clone(), payload.bytes())
}

fn worst(found: &Adapters, wanted: &Adapters) -> f64 {
    let apart = found.sub(wanted).and_then(|apart| apart.flat()).expect("the same shapes");
    apart.into_iter().fold(0.0, |worst, x| f64::max(worst, x.abs()))
}

/// No number moves by more than half a scale, and more bits are never worse.
#[test]
fn numbers_arrive_within_half_a_step() {
    let set = drawn("set");
    let largest = set.flat().expect("numbers").into_iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (wire, bound) in
        [(Wire::F32, 0.0), (Wire::F16, largest * 2f64.powi(-11)), (Wire::Int8, largest / 254.0), (Wire::Int4, largest / 14.0)]
    {
        let (received, _) = carried(&set, None, wire);
        assert!(worst(&received, &set) <= bound * 1.0001, "{wire:?}: {} over {bound}", worst(&received, &set));
    }
}

/// The difference to what was received is small, so it arrives more exactly than the whole.
#[test]
fn differences_arrive_more_exactly() {
    let (base, more) = (drawn("base"), drawn("more").scale(0.01).expect("scaled"));
    let set = base.add(&more).expect("the same shapes");
    let whole = worst(&carried(&set, None, Wire::Int8).0, &set);
    let difference = worst(&carried(&set, Some(&base), Wire::Int8).0, &set);
    assert!(difference < whole / 20.0, "{difference} against {whole}");
}

/// A byte or half a byte a number and four bytes a block, besides the encoding's header; the payload's own head is not counted.
#[test]
fn bytes_are_counted_with_their_scales() {
    let set: Adapters =
        [("a".to_owned(), Tensor::zeros((8, 1001), DType::F32, &Device::Cpu).expect("zeros"))].into_iter().collect();
    let bytes = |wire| carried(&set, None, wire).1;
    assert_eq!(bytes(Wire::F32), set.to_bytes().expect("encoded").len() as u64);
    let (header, blocks) = (bytes(Wire::F32) - 4 * 8008, 8008u64.div_ceil(64));
    for (wire, numbers) in [(Wire::F16, 2 * 8008), (Wire::Int8, 8008 + 4 * blocks), (Wire::Int4, 4004 + 4 * blocks)] {
        assert!(bytes(wire).abs_diff(numbers + header) <= 16, "{wire:?}: {} bytes", bytes(wire));
    }
}

/// Zeros stay zeros, and a set that holds nothing is a set.
#[test]
fn zeros_stay() {
    let zeros = drawn("set").zeros_like().expect("zeros");
    for wire in [Wire::F32, Wire::F16, Wire::Int8, Wire::Int4] {
        assert_eq!(worst(&carried(&zeros, None, wire).0, &zeros), 0.0);
        let (nothing, bytes) = carried(&Adapters::default(), None, wire);
        assert!(nothing.is_empty() && bytes == 0, "{wire:?}");
    }
}

/// What a payload says once something in its head is another.
fn changed(encoding: Wire, at: &str, to: Value) -> String {
    let base = adapters(drawn("base"));
    let payload = Payload::new(&adapters(drawn("set")), &base, encoding).expect("encoded");
    let mut head = serde_json::to_value(&payload).expect("JSON");
    *head.pointer_mut(at).unwrap_or_else(|| panic!("{at} is in {payload:?}")) = to;
    let read: std::result::Result<Payload, _> = serde_json::from_value(head);
    let opened = read.map_err(|error| error.to_string()).and_then(|head| {
        let changed = Payload { encoded: payload.encoded.clone(), ..head };
        changed.open(&base, &Device::Cpu)
    });
    opened.map_or_else(|what| what, |_| "taken".into())
}

#[test]
fn heads_that_promise_something_else_are_refused() {
    for (encoding, at, to, said) in [
        (Wire::Int8, "/version", json!(1), "taken"),
        (Wire::Int8, "/version", json!(2), "holds sets of version 2; version 1 is read here"),
        (Wire::Int8, "/version", json!(-1), "invalid value"),
        (Wire::Int8, "/encoding", json!("int4"), "holds the set `adapters`: tensor `a` is u8 of [19]; expected u8 of [12]"),
        (Wire::Int8, "/encoding", json!("f16"), "tensor `a` is u8 of [19]; expected f16 of [3, 5]"),
        (Wire::Int8, "/encoding", json!("morse"), "unknown variant `morse`"),
        (Wire::F16, "/encoding", json!("f32"), "tensor `a` is f16 of [3, 5]; expected f32 of [3, 5]"),
        (Wire::F32, "/encoding", json!("int8"), "tensor `a` is f32 of [3, 5]; expected u8 of [19]"),
        (Wire::Int8, "/sets/0/name", json!("fisher"), "holds the set `fisher`: it is a difference to what was not sent"),
        (Wire::Int8, "/sets/0/tensors/0/name", json!("z\u{1b}"), "tensor `z\\u{1b}` is in its head and nowhere else"),
        (Wire::Int8, "/sets/0/tensors/0/name", json!("b"), "tensor `b` is u8 of [11]; expected u8 of [19]"),
        (Wire::Int8, "/sets/0/tensors/0/shape", json!([5, 3]), "it is a difference to what was not sent in these shapes"),
        (Wire::Int8, "/sets/0/tensors/0/shape", json!([3, 6]), "tensor `a` is u8 of [19]; expected u8 of [22]"),
        (Wire::Int8, "/sets/0/tensors/0/shape", json!([1_u64 << 40]), "expected u8 of [1168231104512]"),
        (Wire::Int4, "/sets/0/tensors/0/shape", json!([u64::MAX]), "tensor `a` is u8 of [12]; expected u8 of ["),
        (Wire::Int4, "/sets/0/tensors/0/shape", json!([u64::MAX, 2]), "more numbers than can be counted"),
        (Wire::F32, "/sets/0/tensors/0/shape", json!([3, 5, 1]), "tensor `a` is f32 of [3, 5]; expected f32 of [3, 5, 1]"),
        (Wire::F32, "/sets/0/tensors/0/dtype", json!("f64"), "tensor `a` is f32 of [3, 5]; expected f64 of [3, 5]"),
        (Wire::F16, "/sets/0/tensors/0/dtype", json!("u8"), "tensor `a` would be u8 of numbers as F16; expected floats"),
        (Wire::F32, "/sets/0/tensors/0/dtype", json!("f99"), "tensor `a` is of type `f99`; expected one of f32, f64,"),
        (Wire::F32, "/sets/0/tensors/0/dtype", json!("f8e4m3"), "tensor `a` is of type `f8e4m3`; expected one of"),
        (Wire::F32, "/sets/0/tensors", json!([]), "its head names 0 tensors, and it holds 3"),
        (Wire::F32, "/sets/0/difference", json!(true), "taken"),
        (Wire::F32, "/sets", json!([]), "holds 1 sets, and its head names 0"),
    ] {
        let found = changed(encoding, at, to.clone());
        assert!(found.contains(said), "{encoding:?}, {at} = {to}: {found}");
    }
}

/// Sets that are not sound safetensors, whatever their head says.
#[test]
fn sets_that_are_not_sound_are_refused() {
    let payload = Payload::plain(&adapters(drawn("set"))).expect("encoded");
    let sound = payload.encoded[0].to_vec();
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    for (set, said) in [
        (Vec::new(), "tensor `a` is in its head and nowhere else"),
        (sound[..sound.len() - 1].to_vec(), "it is truncated"),
        (sound[..6].to_vec(), "is cut off in its header (6 bytes)"),
        ([&sound[..], b"x"].concat(), "goes on for 1 bytes behind its last tensor"),
        ([&u64::MAX.to_le_bytes(), &sound[8..]].concat(), "speak of a header of 18446744073709551615 bytes"),
        (header("[]"), "does not begin with `{`"),
        (header(r#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,0]}}"#), "in 0 bytes"),
        (
            header(r#"{"a":{"dtype":"F32","shape":[0,4611686018427387904,9],"data_offsets":[0,0]}}"#),
            "more numbers than can be counted",
        ),
        (header(r#"{"a":{"dtype":"BOOL","shape":[0],"data_offsets":[0,0]}}"#), "holds the set `adapters`: "),
    ] {
        let damaged = Payload { encoded: vec![Arc::new(set)], ..payload.clone() };
        let error = damaged.open(&Sets::default(), &Device::Cpu).expect_err(said);
        assert!(error.contains(said) && error.starts_with("holds the set `adapters`"), "{said}: {error}");
    }
    let error = Error::Message { client: 3, round: 2, what: "holds no set".into() };
    assert_eq!(error.to_string(), "client 3, round 2: its message holds no set");
}

/// A set that is there twice is neither the one nor the other.
#[test]
fn every_set_is_there_once() {
    let payload = Payload::plain(&adapters(drawn("set"))).expect("encoded");
    let twice = |mut payload: Payload| {
        payload.sets.extend(payload.sets.clone());
        payload.encoded.extend(payload.encoded.clone());
        payload.open(&Sets::default(), &Device::Cpu).expect_err("twice")
    };
    assert_eq!(twice(payload), "holds the set `adapters`: it is there twice");
}
