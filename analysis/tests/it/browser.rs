//! The page in a real browser, where there is one: nothing on the console, no text outside its figure, no two texts
//! over each other, no sideways scrolling, tables that sort, and a theme that changes. Screenshots are left in the
//! target folder for whoever wants to look.

use std::path::{Path, PathBuf};
use std::process::Command;

use pairmill_analysis::load::load;
use pairmill_analysis::report::{Report, to_html};
use pairmill_analysis::transfer::{Study, provenance, sections};
use pairmill_shards::results::Protocol;

/// Looks at the page from inside and leaves what it saw in a `pre`.
const PROBE: &str = r##"
<script>
(function () {
  var bad = [];
  document.documentElement.dataset.theme = "THEME";
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) bad.push("page scrolls sideways");
  document.querySelectorAll("figure").forEach(function (figure) {
    var svg = figure.querySelector("svg"), frame = svg.getBoundingClientRect(), boxes = [];
    if (frame.width < 100 || frame.height < 100) bad.push(figure.id + ": no room");
    svg.querySelectorAll("text").forEach(function (t) {
      var b = t.getBoundingClientRect();
      if (b.left < frame.left - 1 || b.right > frame.right + 1 || b.top < frame.top - 1 || b.bottom > frame.bottom + 1)
        bad.push(figure.id + ": clipped: " + t.textContent);
      if (!t.hasAttribute("transform")) boxes.push([b, t.textContent]);
    });
    for (var i = 0; i < boxes.length; i++) for (var j = i + 1; j < boxes.length; j++) {
      var a = boxes[i][0], b = boxes[j][0];
      var w = Math.min(a.right, b.right) - Math.max(a.left, b.left), h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (w > 1 && h > 3) bad.push(figure.id + ": overlap: " + boxes[i][1] + " / " + boxes[j][1]);
    }
  });
  var head = document.querySelector("table th.n button"), table = head.closest("table"), at = head.parentNode.cellIndex;
  function column() { return Array.from(table.tBodies[0].rows).map(function (r) { return r.cells[at].dataset.v; })
    .filter(function (v) { return v !== ""; }).map(Number); }
  head.click();
  var up = column();
  if (!up.every(function (x, i) { return i === 0 || up[i - 1] <= x; })) bad.push("does not sort up");
  head.click();
  var down = column();
  if (!down.every(function (x, i) { return i === 0 || down[i - 1] >= x; })) bad.push("does not sort down");
  var before = getComputedStyle(document.body).backgroundColor;
  document.getElementById("theme").click();
  if (getComputedStyle(document.body).backgroundColor === before) bad.push("the theme does not change");
  document.getElementById("theme").click();
  var pre = document.createElement("pre");
  pre.id = "probe";
  pre.hidden = true;
  pre.textContent = "PROBED " + document.querySelectorAll("figure").length + " figures\n" + bad.join("\n") + "\nEND";
  document.body.appendChild(pre);
})();
</script>
"##;

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path).flat_map(|dir| names.map(|n| dir.join(n))).find(|p| p.is_file())
}

fn chromium(browser: &Path, profile: &Path, args: &[&str]) -> std::process::Output {
    Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(args)
        .output()
        .unwrap()
}

fn look(name: &str, html: &str) {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no chromium; the page was NOT looked at in a browser");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for theme in ["light", "dark"] {
        let page = dir.path().join(format!("{theme}.html"));
        std::fs::write(&page, html.replace("</body>", &format!("{}</body>", PROBE.replace("THEME", theme))))
            .unwrap();
        let url = format!("file://{}", page.display());
        for width in [1100, 420] {
            let size = format!("--window-size={width},900");
            let output = chromium(&browser, &dir.path().join("profile"), &[&size, "--dump-dom", &url]);
            let dom = String::from_utf8_lossy(&output.stdout).into_owned();
            let probe = dom.rsplit("PROBED ").next().unwrap().split("END").next().unwrap();
            let faults: Vec<&str> = probe.lines().skip(1).filter(|l| !l.is_empty()).collect();
            assert!(dom.contains("PROBED "), "{name} {theme} {width}: the page did not load");
            assert!(faults.is_empty(), "{name} {theme} {width}: {faults:#?}");
            let console = String::from_utf8_lossy(&output.stderr).into_owned();
            let said: Vec<&str> = console.lines().filter(|l| l.contains("CONSOLE")).collect();
            assert!(said.is_empty(), "{name} {theme} {width}: {said:#?}");
        }
        let picture = pictures.join(format!("{name}-{theme}.png"));
        let shot = format!("--screenshot={}", picture.display());
        chromium(&browser, &dir.path().join("profile"), &["--window-size=1100,6400", &shot, &url]);
        assert!(std::fs::metadata(&picture).unwrap().len() > 50_000, "{}", picture.display());
    }
}

fn page(results: &pairmill_analysis::load::Results) -> String {
    let study = Study::new(results, None, 0);
    let mut all = sections(&study);
    all.push(provenance(&study, 0));
    to_html(&Report { title: "What transferred".to_owned(), lead: "A test.".to_owned(), sections: all })
}

#[test]
fn made_up_results_look_right() {
    look("made-up", &page(&crate::results::results(Protocol::Corrected)));
}

#[test]
fn the_papers_results_look_right() {
    let Some(path) = crate::paper::path() else { return };
    look("paper", &page(&load(&[path], Protocol::AsPublished, None).unwrap()));
}
