//! Tests of `pairmill-report` from outside: the paper's table, results made up here, the command line, the page in
//! a browser.

mod browser;
mod captions;
mod cli;
mod paper;
mod results;
mod snapshots;
