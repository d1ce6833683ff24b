"use strict";
// The theme, links and downloads of Airflow's page around this one. Without any, the page works as it is.
(() => {
  const outside = () => {
    try {
      return parent !== window && parent.document ? parent.document : null;
    } catch {
      return null;
    }
  };
  const around = outside();
  if (around) {
    const root = around.documentElement;
    const follow = () => {
      document.documentElement.dataset.theme = root.classList.contains("dark") ? "dark" : "light";
    };
    follow();
    new MutationObserver(follow).observe(root, { attributes: true, attributeFilter: ["class"] });
    // the frame may open nothing outside of itself, and below Airflow 3.3 it may not download
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-outside]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) {
        return;
      }
      event.preventDefault();
      const copy = around.createElement("a");
      copy.href = link.href;
      if (link.hasAttribute("download")) {
        copy.download = link.getAttribute("download");
      }
      around.body.append(copy);
      copy.click();
      copy.remove();
    });
  }
  document.addEventListener("DOMContentLoaded", () => {
    if (document.body.dataset.pending) {
      setTimeout(() => location.reload(), 2000);
    }
  });
})();
