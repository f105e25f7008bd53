//! Only for tests: scratch storages, servers, oracle scripts
