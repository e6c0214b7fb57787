//! Black-box tests: they start the real binary on ports that the system chooses, with a temporary data directory, and
//! speak to it as an app, an operator or an attacker would. Nothing sleeps: every wait is for a condition, with an end.

mod admin;
mod archive;
mod auth;
mod bad_frames;
mod bad_input;
mod caches;
mod cli;
mod cold_start;
mod command_line;
mod config;
mod control;
mod crash;
mod degradation;
mod demo;
mod durability;
mod enrichment;
mod experiments;
mod features;
mod feeds;
mod harness;
mod learner;
mod limits;
mod load;
mod pages;
mod rest;
mod selfcheck;
mod shutdown;
mod slow_reader;
mod socket;
mod stats;
mod stream;
mod train;
mod transfer;
mod tune;
mod viral;
