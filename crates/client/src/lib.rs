//! Control-socket and HTTP client
