//! What the fetch stage tells the progress display while it runs. Plain atomics: written by the runtime's threads,
//! read by whoever holds the [`FetchCounters`], never waited on.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Live numbers of a fetch stage. Gauges are marked; the rest only grow.
        #[derive(Debug, Default)]
        pub struct FetchCounters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The numbers of a [`FetchCounters`] at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct FetchSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl FetchCounters {
            /// The numbers now (each exact, not all from the same instant).
            pub fn snapshot(&self) -> FetchSnapshot {
                FetchSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Rows handed over, fetched or failed; rows that share a fetch count as one.
    rows,
    /// Bytes of bodies received, of failed rows too.
    bytes,
    /// HTTP requests made: one for each hop of each attempt.
    requests,
    /// Attempts beyond each row's first.
    retries,
    /// Redirects followed.
    redirects,
    /// Questions to name servers (one a name, A and AAAA together).
    dns_lookups,
    /// Names answered from the cache, or by waiting for another row's question.
    dns_hits,
    /// Lookups that found no address.
    dns_failures,
    /// Connections to servers that have only TLS versions or cipher suites we do not speak.
    tls_unsupported,
    /// Gauge: requests in flight.
    in_flight,
    /// Gauge: rows waiting for their host, a slot or a retry.
    parked,
    /// Gauge: hosts remembered.
    hosts,
    /// Gauge: hosts whose breaker is open.
    hosts_open,
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(super) fn sub(counter: &AtomicU64, n: u64) {
    counter.fetch_sub(n, Ordering::Relaxed);
}
