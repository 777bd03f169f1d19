//! What processes use: the generator's CPU time, and a server's CPU time and memory from `/proc`.

use std::fs;
use std::io;
use std::ops::AddAssign;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use rustix::time::{clock_gettime, ClockId};
use serde::Serialize;

/// Raises the limit on open files to what the system lets this process have.
///
/// # Errors
///
/// When the system refuses.
pub fn raise_file_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?)
}

/// CPU time of processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// Seconds used.
    pub used: f64,
    /// Seconds in which the main thread could have run, but something else had its core.
    pub waited: f64,
    /// Seconds in which the cores that the processes may use ran anything at all, as far as asked for.
    pub busy: f64,
}

/// Memory of a process and its descendants, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Memory {
    /// Resident set.
    pub rss: u64,
    /// Resident set, shared pages divided by those who share them.
    pub pss: u64,
    /// Pages of nobody else.
    pub uss: u64,
}

impl AddAssign for Memory {
    fn add_assign(&mut self, other: Self) {
        self.rss += other.rss;
        self.pss += other.pss;
        self.uss += other.uss;
    }
}

/// Memory of `pid` and its descendants.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let mut total = Memory::default();
    for pid in family(pid)? {
        total += parse_rollup(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?);
    }
    Ok(total)
}

/// CPU time of `pid` and its living descendants, what they used in steps of the kernel's clock tick.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let mut total = CpuTime {
        busy: busy(pid)?,
        ..CpuTime::default()
    };
    for pid in family(pid)? {
        total.used += stat(pid)?.ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        total.waited += waited(pid)?;
    }
    Ok(total)
}

/// CPU time of this process.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn own_cpu_time() -> io::Result<CpuTime> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    Ok(CpuTime {
        used,
        waited: waited(std::process::id())?,
        busy: 0.0,
    })
}

/// Seconds that the main thread of `pid` has waited for a core: the second field of its `schedstat`.
fn waited(pid: u32) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = text
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|field| field.parse::<f64>().ok());
    Ok(nanoseconds.unwrap_or_default() / 1e9)
}

/// Seconds in which the cores that `pid` may use ran a process.
fn busy(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cores = parse_cores(allowed.unwrap_or_default());
    let ticks = busy_ticks(&fs::read_to_string("/proc/stat")?, &cores);
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Reads a list of cores such as "0,2-3".
fn parse_cores(list: &str) -> Vec<u32> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse()) {
            cores.extend(first..=last);
        }
    }
    cores
}

/// Sums user, nice and system time of the cores; proc(5) has them as the first three fields.
fn busy_ticks(stat: &str, cores: &[u32]) -> u64 {
    let of_line = |line: &str| -> Option<u64> {
        let mut fields = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let core: u32 = fields.next()?.parse().ok()?;
        let time = fields.take(3).filter_map(|field| field.parse::<u64>().ok());
        cores.contains(&core).then(|| time.sum())
    };
    // The first line is that of all cores together, and its name no number follows.
    let per_core = stat.lines().filter(|line| !line.starts_with("cpu "));
    per_core.filter_map(of_line).sum()
}

fn parse_rollup(text: &str) -> Memory {
    let mut memory = Memory::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else {
            continue;
        };
        match name {
            "Rss:" => memory.rss += kib * 1024,
            "Pss:" => memory.pss += kib * 1024,
            "Private_Clean:" | "Private_Dirty:" => memory.uss += kib * 1024,
            _ => {}
        }
    }
    memory
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat")))
}

/// Reads parent, utime and stime; proc(5) numbers them 4, 14 and 15.
fn parse_stat(text: &str) -> Option<Stat> {
    // The command's name may contain anything, blanks and parentheses too.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks,
    })
}

/// `root` and all its descendants.
fn family(root: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // A process that ended meanwhile is nobody's.
        if let Ok(stat) = stat(pid) {
            parents.push((pid, stat.parent));
        }
    }
    let mut family = vec![root];
    let mut position = 0;
    while let Some(parent) = family.get(position).copied() {
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        position += 1;
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stat_with_a_strange_name() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194304 100 0 0 0 25 17 0 0 20 0 1 0 500";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 42));
    }

    #[test]
    fn cores_are_summed() {
        assert_eq!(parse_cores("\t0,2-3\n"), [0, 2, 3]);
        let stat = "cpu  9 9 9 9\ncpu0 1 2 3 90\ncpu1 5 5 5 5\ncpu2 10 0 0 0\nintr 7\n";
        assert_eq!(busy_ticks(stat, &[0, 2]), 16);
    }

    #[test]
    fn rollup_is_summed() {
        let text =
            "Rss:  10 kB\nPss:  8 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:  5 kB\nShared_Clean: 4 kB\n";
        let memory = parse_rollup(text);
        assert_eq!((memory.rss, memory.pss, memory.uss), (10_240, 8_192, 6_144));
    }

    #[test]
    fn own_process_is_readable() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().rss > 0);
        assert!(cpu_time(pid).unwrap().used >= 0.0 && own_cpu_time().unwrap().used > 0.0);
        assert!(family(pid).unwrap().contains(&pid));
    }
}
