//! A whole TaskManager: deployments made by hand, over an in-process link.

mod end_to_end;
mod job;
mod job_manager;
mod refusals;
