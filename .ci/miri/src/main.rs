//! `kernels/avx512.rs` under Miri: every width around a register's and a panel's edge, forward and backward, written and added to.
//!
//! What Miri has no instruction for (dot products of bf16 pairs) is run outside it only.

#[allow(dead_code, reason = "what is missing here is asked for by the suite")]
#[path = "../../../harness/models/src/kernels/amx.rs"]
mod amx;
#[allow(dead_code, reason = "one of the kernels' callers is enough")]
#[path = "../../../harness/models/src/kernels/avx512.rs"]
mod avx512;

use avx512::{COLUMNS, Left, Right, Row, Steps, Words, pack, packed, product, rounded};

/// Small whole numbers, so that every order of a sum gives the same bits, and bf16 holds them.
fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7 + salt * 5) % 11) as f32 - 5.0).collect()
}

fn bf16(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_ne_bytes()).collect()
}

/// `x W^T`, or `x W`, by the definition.
fn reference(x: &[f32], weight: &[f32], (d_out, d_in): (usize, usize), across: bool) -> Vec<f32> {
    let (entering, leaving) = if across { (d_in, d_out) } else { (d_out, d_in) };
    let at = |i: usize, o: usize| if across { weight[o * d_in + i] } else { weight[i * d_in + o] };
    let row = |x: &[f32]| (0..leaving).map(|o| (0..entering).map(|i| x[i] * at(i, o)).sum()).collect::<Vec<f32>>();
    x.chunks_exact(entering).flat_map(row).collect()
}

fn check(kind: Words, rows: usize, (d_out, d_in): (usize, usize), across: bool) {
    let (entering, leaving) = if across { (d_in, d_out) } else { (d_out, d_in) };
    let (x, weight) = (numbers(rows * entering, 1), numbers(d_out * d_in, 2));
    let wanted = reference(&x, &weight, (d_out, d_in), across);
    let (words, bytes): (Vec<u32>, Vec<u8>) = match kind {
        Words::Single => (x.iter().map(|x| x.to_bits()).collect(), weight.iter().flat_map(|x| x.to_ne_bytes()).collect()),
        Words::Widened => (x.iter().map(|x| x.to_bits()).collect(), bf16(&weight)),
        // SAFETY: the caller has asked for the processor's features.
        Words::Pair | Words::Tiled => (unsafe { rounded(&x, entering, kind) }, bf16(&weight)),
    };
    let depth = if matches!(kind, Words::Pair | Words::Tiled) { entering.div_ceil(2) } else { entering };
    let left = Left { words: &words, rows, depth, kind };
    let right = Right { bytes: &bytes, row: bytes.len() / d_out, rows: d_out, across };
    // Exactly as long as the result, so that nothing may be touched behind it.
    let mut y = Vec::with_capacity(rows * leaving);
    // SAFETY: there is room for the product, which is written whole.
    unsafe {
        product(&left, &right, leaving, y.as_mut_ptr(), false);
        y.set_len(rows * leaving);
        assert_eq!(y, wanted, "{kind:?}, {rows} rows, {d_out} x {d_in}, across {across}");
        product(&left, &right, leaving, y.as_mut_ptr(), true);
    }
    assert!(y.iter().zip(&wanted).all(|(y, wanted)| *y == 2.0 * wanted), "added: {kind:?}, {d_out} x {d_in}");
}

/// The same by panels laid out before, as attention has them: the left row by row and column by column, the first words alone.
fn check_packed(rows: usize, (d_out, d_in): (usize, usize), across: bool) {
    let (entering, leaving) = if across { (d_in, d_out) } else { (d_out, d_in) };
    let (x, weight) = (numbers(rows * entering, 1), numbers(d_out * d_in, 2));
    let bytes: Vec<u8> = weight.iter().flat_map(|x| x.to_ne_bytes()).collect();
    let right = Right { bytes: &bytes, row: 4 * d_in, rows: d_out, across };
    let mut panels = vec![Row([0; COLUMNS]); leaving.div_ceil(COLUMNS) * entering];
    for (panel, from) in panels.chunks_exact_mut(entering).zip((0..leaving).step_by(COLUMNS)) {
        // SAFETY: the caller has asked for the processor's features.
        unsafe { pack(panel, &right, Words::Single, 0..entering, from..(from + COLUMNS).min(leaving)) }
    }
    for k in [entering, entering.div_ceil(2)] {
        let some: Vec<f32> =
            x.chunks_exact(entering).flat_map(|row| (0..entering).map(|i| if i < k { row[i] } else { 0.0 })).collect();
        let wanted = reference(&some, &weight, (d_out, d_in), across);
        let along: Vec<u32> = x.iter().map(|x| x.to_bits()).collect();
        let down: Vec<u32> =
            (0..entering).flat_map(|i| (0..rows).map(move |r| (r, i))).map(|(r, i)| x[r * entering + i].to_bits()).collect();
        for (words, steps) in [(&along, Steps { row: entering, word: 1 }), (&down, Steps { row: 1, word: rows })] {
            let mut y = vec![1.0; rows * leaving];
            let size = (rows, leaving, k);
            // SAFETY: the result holds as many numbers; the caller has asked for the processor's features.
            unsafe { packed(size, (words, steps), (&panels, entering), y.as_mut_ptr(), leaving, false) }
            assert_eq!(y, wanted, "packed, {rows} rows, {d_out} x {d_in}, {k} words");
            // SAFETY: as above.
            unsafe { packed(size, (words, steps), (&panels, entering), y.as_mut_ptr(), leaving, true) }
            assert!(y.iter().zip(&wanted).all(|(y, wanted)| *y == 2.0 * wanted), "packed, added: {d_out} x {d_in}");
        }
    }
}

fn main() {
    let kinds: Vec<Words> = match cfg!(miri) {
        true => vec![Words::Single, Words::Widened],
        false => [Words::Single, Words::Widened, Words::Pair].into_iter().filter(|words| words.served()).collect(),
    };
    if kinds.is_empty() {
        println!("this processor has no AVX-512: nothing was checked");
        return;
    }
    let mut checked = 0;
    for &kind in &kinds {
        let all = [(1, 2), (15, 2), (33, 2), (2, 2), (16, 6), (17, 16), (31, 18), (32, 32), (33, 34), (47, 2), (48, 8), (65, 20)];
        // Miri is some thousand times slower, and the edges are among the first.
        let (shapes, tall): (&[_], &[usize]) = if cfg!(miri) { (&all[..3], &[1, 13]) } else { (&all, &[1, 2, 11, 12, 13]) };
        for &(d_out, d_in) in shapes {
            for &rows in tall {
                for across in [true, false] {
                    check(kind, rows, (d_out, d_in), across);
                    if matches!(kind, Words::Single) {
                        check_packed(rows, (d_out, d_in), across);
                    }
                    checked += 1;
                }
            }
        }
    }
    println!("{checked} products checked: {kinds:?}");
}
