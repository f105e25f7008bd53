//! JSON that crosses a process boundary
