//! The guest's memory.
//!
//! TLSF (crate `rlsf`): constant time, and 9 kB less of module than dlmalloc, which wasi-libc
//! brings. It would stay linked for the C library's own calls (the environment, read when a panic is
//! reported), so this module answers those calls.
#![allow(unsafe_code, reason = "C's allocation functions are symbols with fixed names")]

#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

#[cfg(feature = "count-allocations")]
mod counting {
    use std::alloc::{GlobalAlloc, Layout};
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Counting(rlsf::SmallGlobalTlsf);

    #[global_allocator]
    static ALLOCATOR: Counting = Counting(rlsf::SmallGlobalTlsf::new());

    static COUNT: AtomicU64 = AtomicU64::new(0);

    // SAFETY: every argument is passed on unchanged.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.fetch_add(1, Ordering::Relaxed);
            unsafe { self.0.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            unsafe { self.0.dealloc(memory, layout) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            COUNT.fetch_add(1, Ordering::Relaxed);
            unsafe { self.0.realloc(memory, layout, size) }
        }
    }

    /// Returns the number of allocations since the start, including reallocations.
    #[unsafe(no_mangle)]
    pub(crate) extern "C" fn splitway_allocations() -> u64 {
        COUNT.load(Ordering::Relaxed)
    }
}

/// C's `malloc`: zeroed, because only small blocks are ever requested.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn malloc(size: usize) -> *mut u64 {
    Box::leak(vec![0_u64; size.div_ceil(8)].into_boxed_slice()).as_mut_ptr()
}

/// C's `calloc`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn calloc(count: usize, size: usize) -> *mut u64 {
    malloc(count.saturating_mul(size))
}

/// C's `free` does nothing: the environment is read once and stays.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn free(_memory: *mut u64) {}
