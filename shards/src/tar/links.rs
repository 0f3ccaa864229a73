//! Where the links of a tar lead: to other members of the same tar, as in Python's tarfile. A hard link means the last
//! member of that name before it, a symbolic link the last one at all, seen from the folder of the link.

use super::skipped::LinkProblem;

/// Links that may be followed from one to the next.
const MAX_CHAIN: usize = 40;
/// Most bytes that all links of a tar may lead to together: a link takes 512 bytes and may stand for a gibibyte.
pub const MAX_LINKED_BYTES: u64 = 64 << 30;

/// Where a link points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whether it is a symbolic link; else a hard one.
    pub symbolic: bool,
    /// As in the header.
    pub target: String,
}

/// Where data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    File(Extent),
    /// By number in [`Targets::links`].
    Link(usize),
}

/// Every file and link of a tar by its name.
#[derive(Debug, Default)]
pub struct Targets {
    /// Name, number in the tar, what it is; sorted once all are known.
    members: Vec<(String, u64, Kind)>,
    links: Vec<(String, u64, Link)>,
}

impl Targets {
    /// Adds member `number` of the tar, a file.
    pub fn add_file(&mut self, name: &str, number: u64, extent: Extent) {
        self.members.extend(plain(name).map(|name| (name, number, Kind::File(extent))));
    }

    /// Adds member `number` of the tar, a link.
    pub fn add_link(&mut self, name: &str, number: u64, link: &Link) {
        self.members.extend(plain(name).map(|name| (name, number, Kind::Link(self.links.len()))));
        self.links.push((name.to_owned(), number, link.clone()));
    }

    /// Call it before [`resolve`](Self::resolve).
    pub fn sort(&mut self) {
        self.members.sort_unstable();
    }

    /// The data that member `number`, called `name`, stands for.
    ///
    /// # Errors
    /// When the link leads to no file of the tar.
    pub fn resolve(&self, name: &str, number: u64, link: &Link) -> Result<Extent, LinkProblem> {
        let (mut name, mut number, mut link) = (name, number, link);
        for _ in 0..MAX_CHAIN {
            let (target, limit) = match link.symbolic {
                true => (beside(name, &link.target), u64::MAX),
                false => (plain(&link.target), number),
            };
            let target = target.ok_or(LinkProblem::Missing)?;
            let end = self.members.partition_point(|(other, at, _)| (other, *at) < (&target, limit));
            let last = end.checked_sub(1).map(|at| &self.members[at]).filter(|(other, ..)| *other == target);
            match last {
                Some((.., Kind::File(extent))) => return Ok(*extent),
                Some((.., Kind::Link(at))) => (name, number, link) = self.link(*at),
                None if self.members.get(end).is_some_and(|(other, ..)| *other == target) => {
                    return Err(LinkProblem::Later);
                }
                None => return Err(LinkProblem::Missing),
            }
        }
        Err(LinkProblem::Loop)
    }

    /// The files in the folder that a symbolic link called `name` leads to, each with its path below that folder. Links in
    /// the folder are not followed. Empty where it leads to no folder of the tar.
    pub fn folder(&self, name: &str, link: &Link) -> impl Iterator<Item = (&str, Extent)> {
        let target = if link.symbolic { beside(name, &link.target) } else { None };
        let prefix = target.map(|target| if target.is_empty() { target } else { target + "/" });
        let from = prefix
            .as_ref()
            .map_or(self.members.len(), |prefix| self.members.partition_point(|(other, ..)| other < prefix));
        self.members[from..]
            .iter()
            .map_while(move |(other, _, kind)| {
                let rest = other.strip_prefix(prefix.as_deref()?)?;
                Some(match kind {
                    Kind::File(extent) => Some((rest, *extent)),
                    Kind::Link(_) => None,
                })
            })
            .flatten()
    }

    fn link(&self, at: usize) -> (&str, u64, &Link) {
        let (name, number, link) = &self.links[at];
        (name, *number, link)
    }
}

/// The target of a symbolic link, seen from the folder that the link is in.
fn beside(name: &str, target: &str) -> Option<String> {
    match name.rfind('/') {
        Some(slash) if !target.starts_with('/') => plain(&format!("{}/{target}", &name[..slash])),
        _ => plain(target),
    }
}

/// A name without `.`, `..` and empty parts. `None` for one that leads out of the tar.
fn plain(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    let root = if name.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_dots() {
        assert_eq!(plain("./a//b/../c.jpg").as_deref(), Some("a/c.jpg"));
        assert_eq!(plain("../a.jpg"), None);
        assert_eq!(beside("d/e/link.jpg", "../a.jpg").as_deref(), Some("d/a.jpg"));
        assert_eq!(beside("link.jpg", "../../etc/passwd"), None);
        assert_eq!(beside("d/link.jpg", "/etc/passwd").as_deref(), Some("/etc/passwd"));
    }

    #[test]
    fn chains_are_followed_and_loops_are_not() {
        let link = |symbolic, target: &str| Link { symbolic, target: target.to_owned() };
        let mut targets = Targets::default();
        targets.add_file("a", 0, Extent { offset: 512, size: 3 });
        targets.add_link("b", 1, &link(false, "a"));
        targets.add_link("c", 2, &link(true, "b"));
        targets.add_link("x", 3, &link(true, "y"));
        targets.add_link("y", 4, &link(true, "x"));
        targets.add_file("a", 5, Extent { offset: 2048, size: 4 });
        targets.sort();
        let found = |number, symbolic, target: &str| targets.resolve("l", number, &link(symbolic, target));
        assert_eq!(found(3, false, "c"), Ok(Extent { offset: 512, size: 3 }));
        assert_eq!(found(9, true, "a"), Ok(Extent { offset: 2048, size: 4 }), "the last of that name");
        assert_eq!(found(0, false, "a"), Err(LinkProblem::Later));
        assert_eq!(found(9, true, "x"), Err(LinkProblem::Loop));
        assert_eq!(found(9, true, "z"), Err(LinkProblem::Missing));
        targets.add_file("d/one", 6, Extent { offset: 4096, size: 1 });
        targets.add_file("d/e/two", 7, Extent { offset: 5120, size: 2 });
        targets.sort();
        let to = |target: &str| Link { symbolic: true, target: target.to_owned() };
        let below: Vec<_> = targets.folder("s/l", &to("../d")).map(|(name, _)| name).collect();
        assert_eq!(below, ["e/two", "one"]);
        assert_eq!(targets.folder("s/l", &to("../none")).count(), 0);
    }
}
