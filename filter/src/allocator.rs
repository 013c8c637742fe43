//! The guest's memory.
//!
//! TLSF (crate `rlsf`): constant time, and 9 kB less of module than dlmalloc, which wasi-libc
//! brings. It would stay linked for the C library's own calls (the environment, read when a panic is
//! told), so those are answered here.
#![allow(unsafe_code, reason = "C's allocation functions are symbols with fixed names")]

#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// C's `malloc`: zeroed, because it is only ever asked for little.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn malloc(size: usize) -> *mut u64 {
    Box::leak(vec![0_u64; size.div_ceil(8)].into_boxed_slice()).as_mut_ptr()
}

/// C's `calloc`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn calloc(count: usize, size: usize) -> *mut u64 {
    malloc(count.saturating_mul(size))
}

/// C's `free`: the environment is read once and stays.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn free(_memory: *mut u64) {}
