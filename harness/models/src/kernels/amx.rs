//! Products of bf16 pairs by AMX: 32 rows by 32 columns of a result at a time, in four of the eight tiles.
//!
//! A tile is 16 rows of 64 bytes. What panels hold is laid out as tiles read it: 16 words of a row of the left are a row of a left tile,
//! and 16 rows of a panel are two right tiles side by side. A number of the result is a sum of one order, whatever the rows beside it.
//! Rust has no names for these instructions yet, so they are written out.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};

/// Rows of the result at a time, two tiles.
pub(super) const ROWS: usize = 32;
/// Words of the left that a tile holds of a row.
pub(super) const STEP: usize = 16;

/// Whether this processor has tiles for bf16, and its system keeps them for a process that asks. To be asked where there is AVX-512.
#[allow(unsafe_code, reason = "a register is read that every processor with AVX-512 has")]
pub(super) fn has_tiles() -> bool {
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    const KEPT: u64 = 1 << 17 | 1 << 18;
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: AVX-512 is used only where the system has turned on what this reads.
    features & BF16_AND_TILES == BF16_AND_TILES && unsafe { _xgetbv(0) } & KEPT == KEPT
}

/// A thread's tiles, set up; until it is dropped.
pub(super) struct Tiles(());

/// All eight tiles of 16 rows of 64 bytes, as the processor reads it.
#[repr(align(64))]
struct Setting([u8; 64]);

static WHOLE: Setting = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Setting(bytes)
};

impl Tiles {
    /// # Safety
    /// The processor must have tiles, and the process the permission to use them. A thread sets them up once at a time.
    #[allow(unsafe_code, reason = "instructions without a name")]
    pub(super) unsafe fn set_up() -> Self {
        // SAFETY: 64 bytes are read, in the form that the processor asks for.
        unsafe { asm!("ldtilecfg [{}]", in(reg) WHOLE.0.as_ptr(), options(nostack, readonly, preserves_flags)) };
        Self(())
    }

    /// Multiplies one block.
    ///
    /// # Safety
    /// The block must hold what its fields promise.
    #[allow(unsafe_code, reason = "as for the block")]
    pub(super) unsafe fn multiply(&self, block: &Block) {
        // SAFETY: the tiles are set up; the caller promises the rest.
        unsafe { multiply(block) }
    }
}

impl Drop for Tiles {
    #[allow(unsafe_code, reason = "an instruction without a name")]
    fn drop(&mut self) {
        // SAFETY: they were set up by this thread.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
    }
}

/// 32 rows of the left by a panel of 32 columns.
#[repr(C)]
pub(super) struct Block {
    /// 32 rows of as many words as all steps read, `left_row` bytes apart.
    pub(super) left: *const u32,
    pub(super) left_row: usize,
    /// For each step 16 rows of 32 words.
    pub(super) panel: *const u32,
    /// At least one.
    pub(super) steps: usize,
    /// 32 rows of 32 numbers, `result_row` bytes apart.
    pub(super) result: *mut f32,
    pub(super) result_row: usize,
    /// Whether the product is added to what is there.
    pub(super) adds: bool,
}

/// # Safety
/// The thread's tiles must be set up, and the block hold what its fields promise.
#[inline(never)]
#[allow(unsafe_code, reason = "instructions without a name")]
unsafe fn multiply(block: &Block) {
    // SAFETY: as the caller promises.
    unsafe {
        asm!(
            "test {adds}, {adds}",
            "jz 2f",
            "tileloadd tmm0, [{c} + {c_row}]",
            "tileloadd tmm1, [{c} + {c_row} + 64]",
            "tileloadd tmm2, [{c_low} + {c_row}]",
            "tileloadd tmm3, [{c_low} + {c_row} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm4, [{a} + {a_row}]",
            "tileloadd tmm6, [{b} + {b_row}]",
            "tileloadd tmm7, [{b} + {b_row} + 64]",
            "tileloadd tmm5, [{a_low} + {a_row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {a_low}, 64",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{c} + {c_row}], tmm0",
            "tilestored [{c} + {c_row} + 64], tmm1",
            "tilestored [{c_low} + {c_row}], tmm2",
            "tilestored [{c_low} + {c_row} + 64], tmm3",
            a = inout(reg) block.left => _,
            a_low = inout(reg) block.left.byte_add(16 * block.left_row) => _,
            a_row = in(reg) block.left_row,
            b = inout(reg) block.panel => _,
            b_row = in(reg) 128_usize,
            c = in(reg) block.result,
            c_low = in(reg) block.result.byte_add(16 * block.result_row),
            c_row = in(reg) block.result_row,
            steps = inout(reg) block.steps => _,
            adds = in(reg) usize::from(block.adds),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
