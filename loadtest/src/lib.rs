//! Simulated viewers that swipe through a Swipeline server over its WebSocket.
//!
//! Owns: viewers with hidden tastes and the generated catalogue ([`behaviour`]), the WebSocket client ([`client`]), the
//! open-loop plan of swipes ([`plan`]), a whole measured run ([`run`]), the same in several processes ([`spread`]), its
//! report ([`report`]), filling a server ([`fill`]) and the bare echo that no server can beat ([`floor`]). Knows the
//! server only by its wire types. Must not print: the binary does (a process of a spread run speaks to its parent).

pub mod behaviour;
pub mod client;
pub mod fill;
pub mod floor;
pub mod plan;
pub mod process;
pub mod report;
pub mod run;
pub mod spread;
