//! Many executions: admit, start, follow, wake, project
