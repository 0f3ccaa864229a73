//! Which process of how many this is, from the variables that `torchrun --no-python` or Slurm set. Without them a run is
//! one process.

use std::time::Duration;

use crate::torch::group::Rendezvous;

/// How long ranks wait for each other, at start and in every collective.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// First of the ports that a Slurm job picks from by its id.
const SLURM_PORT_BASE: u32 = 29_500;
const SLURM_PORTS: u32 = 10_000;

/// This process among the processes of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// 0 to `world` - 1.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
    /// Number of this process on its machine: the index of its GPU.
    pub local_rank: usize,
    /// Where the processes meet; `None` for one process.
    pub rendezvous: Option<Rendezvous>,
}

/// What is wrong with the launcher's variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// One is missing while others are there.
    #[error(
        "{0} is not set, but WORLD_SIZE is: start the ranks with torchrun --no-python, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
    )]
    Missing(&'static str),
    /// One is no number.
    #[error("{name}={value} is no number that fits")]
    Number {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A rank beyond the world.
    #[error("rank {rank} of a world of {world}")]
    Rank {
        /// RANK.
        rank: usize,
        /// WORLD_SIZE.
        world: usize,
    },
}

impl Launch {
    /// One process.
    pub fn single() -> Self {
        Self { rank: 0, world: 1, local_rank: 0, rendezvous: None }
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// [`LaunchError`] naming the variable.
    pub fn from_env() -> Result<Self, LaunchError> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// As [`Launch::from_env`], from any lookup.
    ///
    /// # Errors
    /// [`LaunchError`] naming the variable.
    pub fn from_variables(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, LaunchError> {
        let number = |name: &'static str| match get(name) {
            None => Ok(None),
            Some(value) => match value.parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(LaunchError::Number { name, value }),
            },
        };
        let launch = if let Some(world) = number("WORLD_SIZE")? {
            let port = number("MASTER_PORT")?.ok_or(LaunchError::Missing("MASTER_PORT"))?;
            let rank = number("RANK")?.ok_or(LaunchError::Missing("RANK"))?;
            let host = get("MASTER_ADDR").ok_or(LaunchError::Missing("MASTER_ADDR"))?;
            let port = u16::try_from(port)
                .map_err(|_| LaunchError::Number { name: "MASTER_PORT", value: port.to_string() })?;
            // torchrun hosts the store itself and prefixes its keys with the attempt.
            let agent_attempt = (get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"))
                .then(|| get("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".into()));
            let local_rank = number("LOCAL_RANK")?.unwrap_or(0);
            let rendezvous = Rendezvous { host, port, rank, world, agent_attempt, timeout: DEFAULT_TIMEOUT };
            Self { rank, world, local_rank, rendezvous: Some(rendezvous) }
        } else if let (Some(world), Some(rank)) = (number("SLURM_NTASKS")?, number("SLURM_PROCID")?) {
            // `sbatch` sets SLURM_NTASKS for the batch script too; only a step of several tasks is a run of ranks.
            if world <= 1 || get("SLURM_STEP_NODELIST").is_none() {
                return Ok(Self::single());
            }
            let nodes = get("SLURM_STEP_NODELIST").unwrap_or_default();
            let job = number("SLURM_JOB_ID")?.unwrap_or(0);
            let offset = u32::try_from(job % SLURM_PORTS as usize).unwrap_or(0);
            let rendezvous = Rendezvous {
                host: get("MASTER_ADDR").unwrap_or_else(|| first_host(&nodes)),
                port: u16::try_from(SLURM_PORT_BASE + offset).unwrap_or(u16::MAX),
                rank,
                world,
                agent_attempt: None,
                timeout: DEFAULT_TIMEOUT,
            };
            let local_rank = number("SLURM_LOCALID")?.unwrap_or(0);
            Self { rank, world, local_rank, rendezvous: Some(rendezvous) }
        } else {
            return Ok(Self::single());
        };
        if launch.rank >= launch.world {
            return Err(LaunchError::Rank { rank: launch.rank, world: launch.world });
        }
        Ok(if launch.world == 1 { Self { rendezvous: None, ..launch } } else { launch })
    }
}

/// First host of a Slurm node list: `gpu[03-05,9],x1` → `gpu03`.
fn first_host(nodes: &str) -> String {
    match nodes.split_once('[') {
        Some((prefix, rest)) if !prefix.contains(',') => {
            let first = rest.split([',', '-', ']']).next().unwrap_or_default();
            format!("{prefix}{first}")
        }
        _ => nodes.split(',').next().unwrap_or_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Launch, LaunchError> {
        Launch::from_variables(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn nothing_set_is_one_process() {
        assert_eq!(launch(&[]).unwrap(), Launch::single());
    }

    #[test]
    fn torchrun_hosts_the_store() {
        let l = launch(&[
            ("RANK", "3"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_RANK", "1"),
            ("MASTER_ADDR", "node0"),
            ("MASTER_PORT", "29400"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
        ])
        .unwrap();
        assert_eq!((l.rank, l.world, l.local_rank), (3, 8, 1));
        assert_eq!(l.rendezvous.unwrap().agent_attempt.as_deref(), Some("2"));
    }

    #[test]
    fn slurm_names_its_first_host() {
        let l = launch(&[
            ("SLURM_NTASKS", "4"),
            ("SLURM_PROCID", "2"),
            ("SLURM_LOCALID", "0"),
            ("SLURM_JOB_ID", "123456"),
            ("SLURM_STEP_NODELIST", "gpu[03-05],cpu1"),
        ])
        .unwrap();
        let meeting = l.rendezvous.unwrap();
        assert_eq!((meeting.host.as_str(), meeting.port), ("gpu03", 32_956));
        assert_eq!(first_host("a1,a2"), "a1");
        assert_eq!(first_host("n[7]"), "n7");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = launch(&[("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_PORT", "1")]).unwrap_err();
        assert!(error.to_string().starts_with("MASTER_ADDR is not set"), "{error}");
        let error = launch(&[("WORLD_SIZE", "two")]).unwrap_err();
        assert_eq!(error.to_string(), "WORLD_SIZE=two is no number that fits");
    }
}
