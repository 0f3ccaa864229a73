"use strict";
(function () {
  var root = document.documentElement, button = document.getElementById("theme");
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function name() { button.textContent = isDark() ? "Light" : "Dark"; }
  button.addEventListener("click", function () { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  name();
  document.querySelectorAll("th button").forEach(function (head) {
    head.addEventListener("click", function () {
      var th = head.parentNode, body = th.closest("table").tBodies[0], at = th.cellIndex;
      var up = th.getAttribute("aria-sort") !== "ascending", number = th.classList.contains("n");
      th.parentNode.querySelectorAll("th").forEach(function (t) { t.removeAttribute("aria-sort"); });
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      function key(row) { var cell = row.cells[at]; return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v; }
      Array.from(body.rows).sort(function (a, b) {
        var x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return (up ? 1 : -1) * (number ? x - y : x.localeCompare(y, undefined, { numeric: true }));
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
})();
