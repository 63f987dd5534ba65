// Answers come and go, so the document listens for them. An answer's [data-player] holds one <audio> and the pictures and buttons that play it.
(() => {
  const playerOf = (element) => element.closest("[data-player]")?.querySelector("audio");

  function playFrom(player, seconds) {
    const seek = () => { player.currentTime = seconds; player.play().catch(() => {}); };
    if (player.readyState > 0) return seek();
    player.addEventListener("loadedmetadata", seek, { once: true });
    player.load();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".answer [data-seek]");
    if (button) return playFrom(playerOf(button), Number(button.dataset.seek));
    const picture = event.target.closest(".answer svg.timeline");
    if (!picture) return;
    const box = picture.getBoundingClientRect();
    playFrom(playerOf(picture), Number(picture.dataset.duration) * (event.clientX - box.left) / box.width);
  });

  // Events of media do not bubble: they are caught on their way down.
  document.addEventListener("play", ({ target }) => {
    for (const other of document.querySelectorAll(".answer audio")) if (other !== target) other.pause();
  }, true);

  document.addEventListener("timeupdate", ({ target }) => {
    for (const picture of target.closest(".answer [data-player], .answer[data-player]")?.querySelectorAll("svg.timeline") ?? []) {
      const playhead = picture.querySelector(".playhead");
      const place = `${100 * target.currentTime / Number(picture.dataset.duration)}%`;
      playhead.setAttribute("x1", place);
      playhead.setAttribute("x2", place);
      playhead.setAttribute("visibility", "visible");
    }
  }, true);
})();
