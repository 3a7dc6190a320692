//! The S3 store on a real server, undisturbed and through a proxy that disturbs it.

mod contract_of_stores;
mod disturbed;
mod errors;
mod log;
mod support;
mod uploads;
