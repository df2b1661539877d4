// Some of the theme's parts are named otherwise than what stands on them, so somebody who speaks to the page cannot
// reach them. The search button and a folded cell are called by their text; the button for the colours keeps its name.
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".search-button-field, details.hide > summary")) part.removeAttribute("aria-label");
  for (const icon of document.querySelectorAll(".theme-switch")) icon.removeAttribute("title");
});
