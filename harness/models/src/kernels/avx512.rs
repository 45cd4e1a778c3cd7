//! Matrix products with a weight on processors with AVX-512, as f32 (a weight of bf16 widened) or by bf16 pairs: their
//! dot products, or AMX's tiles.
//!
//! The weight goes by in panels of 32 columns, laid out on the way as the innermost loop reads them; while a panel lies in the
//! second-level cache, all rows pass it, 12 of them at a time in registers, or 32 in tiles. Nothing but one panel is ever held twice. A number of
//! the result is one sum in the order of the words, whatever the other rows and columns are, so bits do not depend on how rows are
//! cut.
//!
//! A *word* is what is multiplied at a time: an f32, or two neighbouring bf16.

use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;

use super::amx::{self, Block, Tiles};

/// Rows of the result in registers.
const ROWS: usize = 12;
/// Columns of a panel: two registers.
pub(super) const COLUMNS: usize = 32;
/// Numbers in a register.
const LANES: usize = 16;
/// Words of a panel at most, so that it stays in the second-level cache.
const DEPTH: usize = 2048;

/// One word of every column of a panel.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row(pub(super) [u32; COLUMNS]);

/// How words are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// An f32 each.
    Single,
    /// An f32 each; the weight's are bf16, with an even number in a row, and widened as they are packed.
    Widened,
    /// Two bf16 each, their products added in f32.
    Pair,
    /// The same, multiplied by tiles: rows of the left end at whole ones, with zeros, and whole ones follow each other.
    Tiled,
}

impl Words {
    /// Whether this processor can. (Its system must still permit a process to use tiles.)
    pub(super) fn served(self) -> bool {
        let f32s = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        let pairs = is_x86_feature_detected!("avx512bf16");
        f32s && match self {
            Self::Single | Self::Widened => true,
            Self::Pair => pairs,
            Self::Tiled => pairs && amx::has_tiles(),
        }
    }

    /// How many words lie between the beginnings of two rows of so many.
    pub(super) fn stride(self, depth: usize) -> usize {
        if self == Self::Tiled { depth.next_multiple_of(amx::STEP) } else { depth }
    }
}

/// What is multiplied with a weight: rows of words.
pub(super) struct Left<'a> {
    pub(super) words: &'a [u32],
    pub(super) rows: usize,
    /// Words in a row.
    pub(super) depth: usize,
    pub(super) kind: Words,
}

/// A weight in memory, row by row: what panels are made of.
pub(super) struct Right<'a> {
    /// The weight's bytes.
    pub(super) bytes: &'a [u8],
    /// Bytes of a row.
    pub(super) row: usize,
    /// Rows.
    pub(super) rows: usize,
    /// Whether the result's columns are the weight's rows (`x W^T`), or its columns (`x W`).
    pub(super) across: bool,
}

/// `c (+)= left right`, `c` of `n` columns; one thread.
///
/// # Safety
/// `c` must be valid for as many rows of `n` numbers as `left` has, and hold numbers if they are added to. The processor must serve
/// `left.kind`.
#[allow(unsafe_code, reason = "the result may be memory that nobody has written yet")]
pub(super) unsafe fn product(left: &Left, right: &Right, n: usize, c: *mut f32, accumulate: bool) {
    PANEL.with_borrow_mut(|panel| {
        let depth = left.depth.min(DEPTH).next_multiple_of(LANES);
        if panel.len() < depth {
            panel.resize(depth, Row([0; COLUMNS]));
        }
        // SAFETY: as the caller promises.
        unsafe { by_panels(left, right, n, (c, accumulate), panel) }
    });
}

thread_local! {
    /// A thread's panel, written anew for every one that goes by.
    static PANEL: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// As for [`product`].
#[allow(unsafe_code, reason = "as for `product`")]
unsafe fn by_panels(left: &Left, right: &Right, n: usize, (c, accumulate): (*mut f32, bool), panel: &mut [Row]) {
    let (rows, stride) = (left.rows, left.kind.stride(left.depth));
    // SAFETY: the caller promises that tiles are there where they are asked for.
    let tiles = (left.kind == Words::Tiled).then(|| unsafe { Tiles::set_up() });
    let most = if tiles.is_some() { amx::ROWS } else { ROWS };
    for from in (0..left.depth).step_by(DEPTH) {
        let words = from..(from + DEPTH).min(left.depth);
        let adds = if accumulate || from > 0 { Adds::First } else { Adds::Never };
        let steps = Steps { row: stride, word: 1 };
        for column in (0..n).step_by(COLUMNS) {
            let columns = column..(column + COLUMNS).min(n);
            // SAFETY: the caller has asked whether the processor serves these instructions.
            unsafe { pack(panel, right, left.kind, words.clone(), columns.clone()) };
            let panel = &panel[..left.kind.stride(words.len())];
            for row in (0..rows).step_by(most) {
                let tall = most.min(rows - row);
                let a = &left.words[row * stride + from..];
                // SAFETY: the tile lies within the rows and columns that the caller promises.
                unsafe {
                    let tile = Tile { c: c.add(row * n + column), row: n, columns: columns.len(), adds };
                    match (&tiles, left.kind) {
                        (Some(tiles), _) => tiled(tiles, tall, a, stride, panel, tile),
                        (None, Words::Single | Words::Widened) => single(tall, a, steps, panel, tile),
                        (None, _) => pairs(tall, a, steps, panel, tile),
                    }
                }
            }
        }
    }
}

/// `c (+)= left right` of f32, `c` of `m` rows and `n` columns, `c_row` numbers apart; `right` in panels of `depth` words, of which the
/// first `k` are multiplied.
///
/// # Safety
/// `c` must be valid for its rows and columns, and hold numbers. The processor must serve [`Words::Single`].
#[allow(unsafe_code, reason = "the tile takes a pointer to where the result lies")]
pub(super) unsafe fn packed(
    (m, n, k): (usize, usize, usize),
    (left, steps): (&[u32], Steps),
    (right, depth): (&[Row], usize),
    c: *mut f32,
    c_row: usize,
    accumulate: bool,
) {
    let adds = if accumulate { Adds::Last } else { Adds::Never };
    for (column, panel) in (0..n).step_by(COLUMNS).zip(right.chunks_exact(depth)) {
        for row in (0..m).step_by(ROWS) {
            let columns = COLUMNS.min(n - column);
            // SAFETY: the tile lies within the rows and columns that the caller promises, who has asked the processor, too.
            unsafe {
                let tile = Tile { c: c.add(row * c_row + column), row: c_row, columns, adds };
                single(ROWS.min(m - row), &left[row * steps.row..], steps, &panel[..k], tile)
            }
        }
    }
}

/// Where a tile of the result lies.
#[derive(Clone, Copy)]
struct Tile {
    c: *mut f32,
    /// Numbers from one of its rows to the next.
    row: usize,
    columns: usize,
    /// Whether it is added to what is there.
    adds: Adds,
}

/// When a product meets what is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adds {
    Never,
    /// The sum goes on from it.
    First,
    /// It is added to the whole sum.
    Last,
}

impl Tile {
    /// Which of a register's numbers belong to the tile.
    fn mask(&self, half: usize) -> u16 {
        let columns = self.columns.saturating_sub(half * LANES).min(LANES);
        ((1u32 << columns) - 1) as u16
    }

    /// Where a register of a row begins. At an edge that is narrower than a register the second one begins behind the result, where
    /// its mask lets nobody read or write; a pointer may be made there, but not by `add`.
    fn register(&self, row: usize, half: usize) -> *mut f32 {
        self.c.wrapping_add(row * self.row + half * LANES)
    }
}

/// How many words lie between two of the left's rows, and between two words of a row.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub(super) row: usize,
    pub(super) word: usize,
}

/// A tile of up to 12 rows: `$step` adds to a register the products of a word of the left, in all lanes, with 16 words of a panel.
macro_rules! tile {
    ($name:ident, $features:literal, $step:expr) => {
        /// # Safety
        /// The tile must be valid for its rows and columns, and the processor have the features.
        #[target_feature(enable = $features)]
        #[allow(unsafe_code, reason = "loads and stores of registers")]
        unsafe fn $name(tall: usize, a: &[u32], steps: Steps, panel: &[Row], tile: Tile) {
            #[target_feature(enable = $features)]
            #[allow(unsafe_code, reason = "loads and stores of registers")]
            unsafe fn rows<const N: usize>(a: &[u32], steps: Steps, panel: &[Row], tile: Tile) {
                let Steps { row: down, word: along } = steps;
                assert!(panel.is_empty() || a.len() > (N - 1) * down + (panel.len() - 1) * along, "a tile reads out of bounds");
                let masks = [tile.mask(0), tile.mask(1)];
                // SAFETY: reads of the left are within the bounds checked above; the caller promises the tile's.
                unsafe {
                    let mut sums = [[_mm512_setzero_ps(); 2]; N];
                    if tile.adds == Adds::First {
                        for (i, sums) in sums.iter_mut().enumerate() {
                            for (half, sum) in sums.iter_mut().enumerate() {
                                *sum = _mm512_maskz_loadu_ps(masks[half], tile.register(i, half));
                            }
                        }
                    }
                    for (word, row) in panel.iter().enumerate() {
                        let row = row.0.as_ptr().cast::<__m512i>();
                        let (b0, b1) = (_mm512_load_si512(row), _mm512_load_si512(row.add(1)));
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let a = _mm512_set1_epi32(*a.get_unchecked(i * down + word * along) as i32);
                            sums[0] = $step(sums[0], a, b0);
                            sums[1] = $step(sums[1], a, b1);
                        }
                    }
                    for (i, sums) in sums.iter().enumerate() {
                        for (half, &sum) in sums.iter().enumerate() {
                            let c = tile.register(i, half);
                            let sum = match tile.adds {
                                Adds::Last => _mm512_add_ps(_mm512_maskz_loadu_ps(masks[half], c), sum),
                                _ => sum,
                            };
                            // Only a panel at the edge needs the mask.
                            if masks[half] == u16::MAX {
                                _mm512_storeu_ps(c, sum)
                            } else {
                                _mm512_mask_storeu_ps(c, masks[half], sum)
                            }
                        }
                    }
                }
            }
            // SAFETY: as promised to this function.
            unsafe {
                match tall {
                    1 => rows::<1>(a, steps, panel, tile),
                    2 => rows::<2>(a, steps, panel, tile),
                    3 => rows::<3>(a, steps, panel, tile),
                    4 => rows::<4>(a, steps, panel, tile),
                    5 => rows::<5>(a, steps, panel, tile),
                    6 => rows::<6>(a, steps, panel, tile),
                    7 => rows::<7>(a, steps, panel, tile),
                    8 => rows::<8>(a, steps, panel, tile),
                    9 => rows::<9>(a, steps, panel, tile),
                    10 => rows::<10>(a, steps, panel, tile),
                    11 => rows::<11>(a, steps, panel, tile),
                    _ => rows::<12>(a, steps, panel, tile),
                }
            }
        }
    };
}

tile!(single, "avx512f", |sum, a, b| _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum));
tile!(pairs, "avx512f,avx512bf16", |sum, a: __m512i, b: __m512i| {
    // The type of bf16 registers has no cast; the bits are the same.
    _mm512_dpbf16_ps(sum, std::mem::transmute::<__m512i, __m512bh>(a), std::mem::transmute::<__m512i, __m512bh>(b))
});

/// A block of up to 32 rows by tiles; where it is not whole, by way of one that is.
///
/// # Safety
/// The tile must be valid for its rows and columns.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "loads and stores of registers")]
unsafe fn tiled(tiles: &Tiles, tall: usize, a: &[u32], stride: usize, panel: &[Row], tile: Tile) {
    assert!(a.len() >= (amx::ROWS - 1) * stride + panel.len() && !panel.is_empty(), "a block reads out of bounds");
    let block = Block {
        left: a.as_ptr(),
        left_row: 4 * stride,
        panel: panel.as_ptr().cast(),
        steps: panel.len() / amx::STEP,
        result: tile.c,
        result_row: 4 * tile.row,
        adds: tile.adds == Adds::First,
    };
    if tall == amx::ROWS && tile.columns == COLUMNS {
        // SAFETY: the left holds whole rows of 32, checked above, the panel its steps; the caller promises the result.
        unsafe { tiles.multiply(&block) };
        return;
    }
    let mut whole = [Row([0; COLUMNS]); amx::ROWS];
    let result = whole.as_mut_ptr().cast::<f32>();
    let masks = [tile.mask(0), tile.mask(1)];
    // SAFETY: a block is written whole; of it, and of the result, only what the tile has is read and written.
    unsafe {
        tiles.multiply(&Block { result, result_row: 4 * COLUMNS, adds: false, ..block });
        for row in 0..tall {
            for (half, &mask) in masks.iter().enumerate() {
                let product = _mm512_load_ps(result.add(row * COLUMNS + half * LANES));
                let c = tile.register(row, half);
                let sum = if tile.adds == Adds::First { _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), product) } else { product };
                _mm512_mask_storeu_ps(c, mask, sum);
            }
        }
    }
}

/// A panel of some words of some columns.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn pack(panel: &mut [Row], right: &Right, kind: Words, words: Range<usize>, columns: Range<usize>) {
    match (right.across, kind) {
        (true, Words::Single | Words::Pair | Words::Tiled) => turn(panel, right, words, columns),
        (true, Words::Widened) => turn_widened(panel, right, words.start / 2..words.end / 2, columns),
        (false, Words::Single) => copy(panel, right, words, columns),
        (false, Words::Widened) => copy_widened(panel, right, words, columns),
        (false, Words::Pair) => interleave(panel, right, words, columns),
        (false, Words::Tiled) => {
            panel[words.len()..words.len().next_multiple_of(amx::STEP)].fill(Row([0; COLUMNS]));
            interleave(panel, right, words, columns);
        }
    }
}

/// A panel whose columns are rows of the weight: squares of 16 words are transposed in registers.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "stores of registers; their bounds are checked")]
fn turn(panel: &mut [Row], right: &Right, words: Range<usize>, columns: Range<usize>) {
    for half in 0..2 {
        for from in (0..words.len()).step_by(LANES) {
            let square = square(right, words.start + from..words.end, columns.start + half * LANES..columns.end);
            for (row, register) in panel[from..].iter_mut().zip(square) {
                // SAFETY: half a row is a register's width, and rows are aligned.
                unsafe { _mm512_store_si512(row.0[half * LANES..].as_mut_ptr().cast(), register) };
            }
        }
    }
}

/// The same of bf16, two rows of the panel from a word.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "stores of registers; their bounds are checked")]
fn turn_widened(panel: &mut [Row], right: &Right, pairs: Range<usize>, columns: Range<usize>) {
    let highs = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for half in 0..2 {
        for from in (0..pairs.len()).step_by(LANES) {
            let square = square(right, pairs.start + from..pairs.end, columns.start + half * LANES..columns.end);
            for (rows, register) in panel[2 * from..].chunks_exact_mut(2).zip(square) {
                let (low, high) = (_mm512_slli_epi32::<16>(register), _mm512_and_si512(register, highs));
                for (row, register) in rows.iter_mut().zip([low, high]) {
                    // SAFETY: as in `turn`.
                    unsafe { _mm512_store_si512(row.0[half * LANES..].as_mut_ptr().cast(), register) };
                }
            }
        }
    }
}

/// 16 words of 16 rows of the weight, turned; zeros for those that are not among these.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "loads of registers; their bounds are checked")]
fn square(right: &Right, words: Range<usize>, columns: Range<usize>) -> [__m512i; LANES] {
    let width = LANES.min(words.len());
    let mask = ((1u32 << width) - 1) as u16;
    let mut square = [_mm512_setzero_si512(); LANES];
    for (register, column) in square.iter_mut().zip(columns) {
        let bytes = &right.bytes[column * right.row + words.start * 4..][..width * 4];
        // SAFETY: what the mask leaves out is not read; the rest is in bounds.
        *register = unsafe { _mm512_maskz_loadu_epi32(mask, bytes.as_ptr().cast()) };
    }
    transposed(square)
}

/// Quarters 0 and 2, or 1 and 3, of one register and then of another.
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// The transpose of a square of words.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let (mut two, mut four, mut all) = (rows, rows, rows);
    for i in 0..8 {
        two[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        two[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        four[i] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
        four[i + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
        four[i + 2] = _mm512_unpacklo_epi64(two[i + 1], two[i + 3]);
        four[i + 3] = _mm512_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
    // `four[4 g + c]` holds, in its quarter q, column 4 q + c of rows 4 g to 4 g + 3.
    for c in 0..4 {
        let even = [0, 8].map(|g| _mm512_shuffle_i32x4::<EVEN>(four[g + c], four[g + 4 + c]));
        let odd = [0, 8].map(|g| _mm512_shuffle_i32x4::<ODD>(four[g + c], four[g + 4 + c]));
        all[c] = _mm512_shuffle_i32x4::<EVEN>(even[0], even[1]);
        all[8 + c] = _mm512_shuffle_i32x4::<ODD>(even[0], even[1]);
        all[4 + c] = _mm512_shuffle_i32x4::<EVEN>(odd[0], odd[1]);
        all[12 + c] = _mm512_shuffle_i32x4::<ODD>(odd[0], odd[1]);
    }
    all
}

/// A panel of f32 whose columns are the weight's.
#[target_feature(enable = "avx512f")]
fn copy(panel: &mut [Row], right: &Right, words: Range<usize>, columns: Range<usize>) {
    for (row, word) in panel.iter_mut().zip(words) {
        row.0 = read(&right.bytes[word * right.row + columns.start * 4..], columns.len());
    }
}

/// The same of bf16, widened.
#[target_feature(enable = "avx512f,avx512bw")]
fn copy_widened(panel: &mut [Row], right: &Right, words: Range<usize>, columns: Range<usize>) {
    for (row, word) in panel.iter_mut().zip(words) {
        let numbers: [u16; COLUMNS] = read(&right.bytes[word * right.row + columns.start * 2..], columns.len());
        row.0.iter_mut().zip(&numbers).for_each(|(word, &number)| *word = u32::from(number) << 16);
    }
}

/// A panel of bf16 whose columns are the weight's: two rows of it go into one of the panel.
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave(panel: &mut [Row], right: &Right, words: Range<usize>, columns: Range<usize>) {
    let numbers = |row: usize| -> [u16; COLUMNS] {
        if row < right.rows { read(&right.bytes[row * right.row + columns.start * 2..], columns.len()) } else { [0; COLUMNS] }
    };
    for (row, word) in panel.iter_mut().zip(words) {
        let (low, high) = (numbers(2 * word), numbers(2 * word + 1));
        row.0
            .iter_mut()
            .zip(low.iter().zip(&high))
            .for_each(|(word, (&low, &high))| *word = u32::from(low) | u32::from(high) << 16);
    }
}

/// So many numbers, then zeros. A copy whose size is known is a few instructions, any other a call.
#[inline(always)]
fn read<N: bytemuck::Pod>(bytes: &[u8], count: usize) -> [N; COLUMNS]
where
    [N; COLUMNS]: bytemuck::Pod,
{
    let size = std::mem::size_of::<N>();
    if count == COLUMNS {
        return bytemuck::pod_read_unaligned(&bytes[..COLUMNS * size]);
    }
    let mut numbers = [N::zeroed(); COLUMNS];
    bytemuck::cast_slice_mut::<N, u8>(&mut numbers)[..count * size].copy_from_slice(&bytes[..count * size]);
    numbers
}

/// Rows of `width` numbers as rows of bf16 pairs, rounded to the nearest (halves to even); an odd row ends with a zero. For tiles, rows
/// and their number end at whole ones.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn rounded(x: &[f32], width: usize, kind: Words) -> Vec<u32> {
    let (rows, stride) = (x.len() / width, kind.stride(width.div_ceil(2)));
    let rows = if kind == Words::Tiled { rows.next_multiple_of(amx::ROWS) } else { rows };
    let mut words = Vec::with_capacity(rows * stride);
    for (row, x) in x.chunks_exact(width).enumerate() {
        let (registers, rest) = x.as_chunks::<{ 2 * LANES }>();
        registers.iter().for_each(|x| words.extend_from_slice(&pairs_of(x)));
        let mut last = [0.0; 2 * LANES];
        last[..rest.len()].copy_from_slice(rest);
        words.extend_from_slice(&pairs_of(&last)[..rest.len().div_ceil(2)]);
        words.resize((row + 1) * stride, 0);
    }
    words.resize(rows * stride, 0);
    words
}

/// Two registers of numbers as one of bf16 pairs.
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code, reason = "loads of registers, and a type of register that has no cast")]
fn pairs_of(x: &[f32; 2 * LANES]) -> [u32; LANES] {
    // SAFETY: both loads are within the 32 numbers; the registers' bits are 16 words.
    unsafe {
        let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(LANES)));
        std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
    }
}
