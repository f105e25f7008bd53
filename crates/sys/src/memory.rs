//! Memory that was needed for a while.

/// Gives memory that was freed back to the system, as far as the allocator can. Worth it after many
/// small things went away at once: it holds up other threads' allocations for milliseconds.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it works on the allocator's own state, under its locks, and on no memory in use.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
