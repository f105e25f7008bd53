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

/// Makes the allocator of this process, and of its copies, spare with memory: all threads share one
/// arena, where each would get one of its own. For processes of which there are hundreds, whose
/// threads allocate little.
pub fn be_frugal() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers and sets the allocator's own parameters.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}
