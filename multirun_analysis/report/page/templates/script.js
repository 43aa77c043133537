"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  all(".tools, .chooser, button.copy").forEach((element) => { element.hidden = false; });

  // Tables: a heading sorts, a text filters.
  const key = (cell) => {
    if (cell.dataset.v === undefined) return cell.textContent.trim().toLowerCase();
    // Python writes what is not a number as nan.
    return cell.dataset.v === "nan" ? NaN : Number(cell.dataset.v);
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") {
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return a - b;
    }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sort = (heading) => {
    const table = heading.closest("table");
    const column = [...heading.parentNode.children].indexOf(heading);
    const up = heading.getAttribute("aria-sort") !== "ascending";
    all("thead th", table).forEach((element) => element.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      // What has no number comes last, whichever way is up.
      const missing = Number.isNaN(a) || Number.isNaN(b);
      return missing || up ? compare(a, b) : compare(b, a);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  all("thead button").forEach((element) => {
    element.addEventListener("click", () => sort(element.closest("th")));
  });
  all(".tools").forEach((tools) => {
    const rows = all("tbody tr", tools.parentNode);
    const [text, yardsticks] = [tools.querySelector("[type=search]"), tools.querySelector("[type=checkbox]")];
    const filter = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const content = row.textContent.toLowerCase();
        const aside = row.classList.contains("aside");
        row.hidden = !words.every((word) => content.includes(word))
          || (aside && yardsticks && !yardsticks.checked);
        shown += !row.hidden;
      });
      tools.querySelector("output").value = shown < rows.length ? `${shown} of ${rows.length}` : "";
    };
    tools.addEventListener("input", filter);
  });

  // One block at a time.
  const chooser = document.getElementById("blocks");
  const choose = () => {
    all("[data-block]").forEach((element) => {
      element.classList.toggle("elsewhere", chooser.value !== "" && element.dataset.block !== chooser.value);
    });
  };
  if (chooser) chooser.addEventListener("change", choose);

  // Tips: of cells, headings and parts of drawings; by pointer, touch and keyboard.
  const tip = document.getElementById("tip");
  all("svg .tip").forEach((element) => {
    const title = element.querySelector("title");
    element.dataset.tip = title.textContent;
    // Or the browser shows a tip of its own as well.
    title.remove();
  });
  const show = (element) => {
    if (!element || !element.dataset.tip) { tip.hidden = true; return; }
    tip.textContent = element.dataset.tip;
    tip.hidden = false;
    const box = element.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
  };
  const owner = (event) => event.target.closest("[data-tip]");
  document.addEventListener("pointerover", (event) => show(owner(event)));
  document.addEventListener("focusin", (event) => show(owner(event)));
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") show(null); });

  // Copying, also where the browser has no clipboard to offer.
  const copied = (text) => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    return Promise.resolve();
  };
  all("button.copy").forEach((element) => {
    element.addEventListener("click", async () => {
      try { await copied(element.dataset.copy); element.textContent = "copied"; } catch { element.textContent = "not allowed"; }
      setTimeout(() => { element.textContent = "copy"; }, 1200);
    });
  });

  // A link to something folded opens it, and shows its block.
  // MLflow shows the page in a frame in which links of a page to itself do nothing.
  const reveal = (hash) => {
    const target = document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target) return;
    const part = target.closest("[data-block]");
    if (chooser && part && chooser.value !== "" && part.dataset.block !== chooser.value) {
      chooser.value = part.dataset.block;
      choose();
    }
    for (let element = target; element; element = element.parentElement) {
      if (element.tagName === "DETAILS") element.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", () => reveal(location.hash));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    reveal(link.hash);
    try { history.pushState(null, "", link.hash); } catch { /* a frame without an address */ }
  });
  reveal(location.hash);

  // The chapter in sight.
  const links = new Map(all("nav a").map((element) => [element.hash.slice(1), element]));
  const watcher = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      links.forEach((link) => link.classList.remove("here"));
      const link = links.get(entry.target.id);
      link.classList.add("here");
      const list = link.closest("ul");
      list.scrollTo({ left: link.offsetLeft - list.offsetLeft - 40 });
    });
    // Sections are watched in a band near the top of the window, where one reads.
  }, { rootMargin: "-12% 0px -80% 0px" });
  all("main > section").forEach((element) => watcher.observe(element));
})();
