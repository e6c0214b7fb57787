//! The load tester against a small server that keeps the contract, and against ones that do not.

mod command;
mod dummy;
mod fleet;
mod selftest;
