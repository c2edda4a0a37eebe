// The page reads without this: it adds a filter of the images, and shows a picture large where it is clicked.
"use strict";
const rows = [...document.querySelectorAll(".image")];
const place = document.querySelector("#filter");
if (place && rows.length > 1) {
  const clusters = [...document.querySelectorAll(".cluster")].map((each) => each.dataset.number);
  place.className = "filter";
  place.innerHTML =
    '<label>Name contains <input type="search" size="16"></label>' +
    '<label>shows kind <select><option value="">any</option>' +
    clusters.map((number) => `<option>${number}</option>`).join("") +
    '</select></label><output></output>';
  const [name, cluster, count] = place.querySelectorAll("input, select, output");
  const update = () => {
    const words = name.value.trim().toLowerCase();
    const active = words || cluster.value;
    let shown = 0;
    for (const row of rows) {
      const fits =
        row.dataset.name.toLowerCase().includes(words) &&
        (!cluster.value || row.dataset.clusters.split(" ").includes(cluster.value));
      row.hidden = !fits;
      shown += fits;
    }
    for (const group of document.querySelectorAll("details.group")) {
      const any = [...group.querySelectorAll(".image")].some((row) => !row.hidden);
      group.hidden = !any;
      if (active && any && shown <= 100) group.open = true;
    }
    count.textContent = active ? `${shown} of ${rows.length} images` : "";
  };
  name.addEventListener("input", update);
  cluster.addEventListener("change", update);
}
const dialog = document.createElement("dialog");
document.body.append(dialog);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.large");
  if (link && dialog.showModal && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    const picture = link.querySelector("img");
    const large = document.createElement("img");
    const caption = document.createElement("p");
    large.src = link.href;
    large.alt = picture.alt;
    large.className = link.closest(".vectors") ? "pixels" : "";
    caption.textContent = picture.alt;
    dialog.replaceChildren(large, caption);
    dialog.showModal();
  } else if (dialog.open && event.target.closest("dialog")) {
    dialog.close();
  }
});
