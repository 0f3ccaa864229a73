//! `X-Robots-Tag`: a site's word on what its pictures may be used for, read as img2dataset reads it.

use reqwest::header::HeaderMap;

/// Which directives forbid the use, and whom we answer to.
#[derive(Debug, Clone, Default)]
pub(super) struct RobotsPolicy {
    disallowed: Vec<String>,
    user_agent_token: Option<String>,
}

impl RobotsPolicy {
    pub fn new(disallowed: &[String], user_agent_token: Option<&str>) -> Self {
        let normal = |text: &str| text.trim().to_ascii_lowercase();
        Self {
            disallowed: disallowed.iter().map(|d| normal(d)).filter(|d| !d.is_empty()).collect(),
            user_agent_token: user_agent_token.map(normal),
        }
    }

    /// Whether any `X-Robots-Tag` header forbids the use. A value `agent: directives` binds only the agent of that
    /// name, one without an agent binds all. (So a value such as `unavailable_after: date` binds nobody.)
    pub fn forbids(&self, headers: &HeaderMap) -> bool {
        if self.disallowed.is_empty() {
            return false;
        }
        headers.get_all("x-robots-tag").iter().any(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            let (agent, directives) = match value.split_once(':') {
                Some((agent, directives)) => (Some(agent.trim()), directives),
                None => (None, value.as_str()),
            };
            let ours = agent.is_none() || agent == self.user_agent_token.as_deref();
            ours && directives.split(',').any(|d| self.disallowed.iter().any(|no| no == d.trim()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::config::DEFAULT_DISALLOWED_HEADER_DIRECTIVES;

    fn forbids(values: &[&str], token: Option<&str>) -> bool {
        let disallowed = DEFAULT_DISALLOWED_HEADER_DIRECTIVES.map(str::to_owned);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-robots-tag", value.parse().unwrap());
        }
        RobotsPolicy::new(&disallowed, token).forbids(&headers)
    }

    #[test]
    fn directives_bind_everyone_or_the_named_agent() {
        assert!(forbids(&["noai"], None));
        assert!(forbids(&["all, NoImageAI"], None));
        assert!(forbids(&["all", "noindex"], None), "every header counts");
        assert!(!forbids(&["all"], None));
        assert!(!forbids(&["nofollow, max-image-preview:large"], None));
        assert!(!forbids(&["otherbot: noai"], None));
        assert!(!forbids(&["otherbot: noai"], Some("mybot")));
        assert!(forbids(&["MyBot: noai"], Some(" mybot ")));
        assert!(forbids(&["otherbot: noai", "mybot: noindex"], Some("mybot")));
        assert!(!forbids(&["unavailable_after: 25 Jun 2010 15:00:00 PST"], Some("mybot")));
        assert!(!forbids(&[], None));
    }

    #[test]
    fn empty_list_turns_the_check_off() {
        let mut headers = HeaderMap::new();
        headers.append("x-robots-tag", "noai".parse().unwrap());
        assert!(!RobotsPolicy::new(&[], None).forbids(&headers));
        assert!(RobotsPolicy::new(&[" NOAI ".to_owned()], None).forbids(&headers));
    }
}
