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
  var bad = [], root = document.documentElement;
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) bad.push("page scrolls sideways");
  document.querySelectorAll("figure").forEach(function (figure) {
    var svg = figure.querySelector("svg"), frame = svg.getBoundingClientRect(), boxes = [];
    if (frame.width < 100 || frame.height < 20) bad.push(figure.id + ": no room");
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
  // Every colour of a figure must follow the theme; cells of heat-maps are the same in both.
  function colours() {
    return [getComputedStyle(document.body).backgroundColor].concat(["text", "line", "path"].map(function (name) {
      return document.querySelector("figure svg " + name);
    }).filter(Boolean).map(function (shape) {
      var style = getComputedStyle(shape);
      return shape.tagName === "line" ? style.stroke : style.fill;
    }));
  }
  root.dataset.theme = "light";
  var light = colours();
  document.getElementById("theme").click();
  colours().forEach(function (c, i) { if (c === light[i]) bad.push("colour " + i + " is " + c + " in both themes"); });
  var pre = document.createElement("pre");
  pre.id = "probe";
  pre.hidden = true;
  pre.textContent = document.querySelectorAll("figure").length + " figures\n" + bad.join("\n");
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

/// Probes the page at two widths and takes a picture in each of `themes`.
fn look(name: &str, html: &str, themes: &[&str]) {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no chromium; the page was NOT looked at in a browser");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    let write = |file: &str, extra: &str| {
        let path = dir.path().join(file);
        std::fs::write(&path, html.replace("</body>", &format!("{extra}</body>"))).unwrap();
        format!("file://{}", path.display())
    };
    let url = write("probe.html", PROBE);
    for width in [1100, 420] {
        let size = format!("--window-size={width},900");
        let output = chromium(&browser, &profile, &[&size, "--dump-dom", &url]);
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        let probe =
            dom.split_once("<pre id=\"probe\" hidden=\"\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let Some((probe, _)) = probe else { panic!("{name} {width}: the page was not probed to its end") };
        let num_figures = html.matches("<figure").count();
        assert!(num_figures >= 3 && probe.starts_with(&format!("{num_figures} figures\n")), "{probe}");
        let faults: Vec<&str> = probe.lines().skip(1).filter(|l| !l.is_empty()).collect();
        assert!(faults.is_empty(), "{name} {width}: {faults:#?}");
        let console = String::from_utf8_lossy(&output.stderr).into_owned();
        let said: Vec<&str> = console.lines().filter(|l| l.contains("CONSOLE")).collect();
        assert!(said.is_empty(), "{name} {width}: {said:#?}");
    }
    for theme in themes {
        let set = format!("<script>document.documentElement.dataset.theme = \"{theme}\";</script>");
        let url = write("picture.html", &set);
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{theme}.png"));
        let shot = format!("--screenshot={}", picture.display());
        chromium(&browser, &profile, &["--window-size=1100,8200", &shot, &url]);
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
    look("made-up", &page(&crate::results::results(Protocol::Corrected)), &[]);
}

#[test]
fn the_papers_results_look_right() {
    let Some(path) = crate::paper::path() else { return };
    look("paper", &page(&load(&[path], Protocol::AsPublished, None).unwrap()), &["light", "dark"]);
}

#[test]
fn a_page_of_sources_looks_right() {
    let dir = tempfile::tempdir().unwrap();
    let (path, folder) = (dir.path().join("page.html"), crate::captions::made_by_img2dataset());
    let args = ["report", "--captions", &folder, "--out", path.to_str().unwrap()];
    let output = crate::cli::run(&args);
    assert!(output.status.success(), "{}", crate::cli::text(&output.stderr));
    look("sources", &std::fs::read_to_string(path).unwrap(), &[]);
}
