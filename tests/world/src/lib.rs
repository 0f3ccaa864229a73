//! The miniature web: captioned pictures in several sources of different habits, the labelled tasks that go with
//! them, their URL tables in the real sources' file formats, and an HTTP server with the web's faults. One seed, one
//! web. The demo, the tests, the chaos runs and the load benchmarks all live on it.
//!
//! ```no_run
//! use pairmill_world::{FaultMix, Server, ServerConfig, Source, TableConfig};
//!
//! let server = Server::start(ServerConfig::default())?;
//! let table = TableConfig::new(Source::Laion, 5000, server.base_url()).with_faults(0.2, FaultMix::Web);
//! let summary = server.world().write_table(&table, "laion.parquet".as_ref())?;
//! assert_eq!(summary.rows, 5000);
//! # Ok::<(), pairmill_world::Error>(())
//! ```
//!
//! Flow: [`Source`] and seed → [`Scene`] → [`Picture`] (pixels, bytes) and [`Caption`] → [`Row`]s of a table →
//! [`Server`]. Every step is a pure function of the seed, so a test that holds a [`World`] knows the truth about
//! every byte and every outcome ([`Row::outcome`]).

mod caption;
mod encode;
mod error;
mod fault;
mod labelled;
mod odd;
mod picture;
mod raster;
mod release;
mod rng;
mod scene;
mod server;
mod source;
mod table;
mod task;
mod words;
mod world;

pub use caption::{Caption, Style};
pub use encode::{Chroma, Encoding};
pub use error::{Error, Result};
pub use fault::{ClientPolicy, Fault, FaultMix, SUCCESS};
pub use labelled::{Dataset, Form, LabelledConfig, LabelledPicture, LabelledTruth};
pub use picture::Picture;
pub use raster::{Pixels, render};
pub use release::{Quirk, Release, ReleaseConfig, ReleaseSummary};
pub use rng::Rng;
pub use scene::{Backdrop, Colour, Distribution, Finish, Object, Scene, Shape, Texture};
pub use server::{
    DEFAULT_MAX_CACHE_BYTES, HostBehaviour, HostStats, Server, ServerConfig, ServerHandle, Stats,
};
pub use source::{Rates, SizeClass, Source};
pub use table::{Row, TableConfig, TableFormat, TableSummary};
pub use task::{Labelled, Shift, Split, Task};
pub use words::UnknownWord;
pub use world::{World, WorldConfig};
