//! A whole TaskManager: deployments made by hand, over an in-process link.

mod ballast;
mod end_to_end;
mod job;
mod job_manager;
mod refusals;
