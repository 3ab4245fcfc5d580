// The page's own fixed words. What a patient's record, a policy or a model says is never here.
const EN = {
  skip: "Skip to the question", subtitle: "Why this answer, for this patient", language: "Language", signOut: "Sign out",
  noDevice: "Not a medical device.", synthetic: "The sample clinic is synthetic.", embedded: "The embedded language model is no medical answerer.",
  signIn: "Sign in", signInHint: "Paste an access token. “pmlm up” prints a link that signs you in; “pmlm token” makes another token.", token: "Access token",
  patient: "Patient", reference: "or her reference in your records", cut: "Only those with the newest entries are listed.", question: "Question, in her own words", ask: "Ask",
  news: "news", years: "years",
  examples: ["Is it normal to feel this tired?", "Can I take ibuprofen for my headache?", "My baby hasn't moved since breakfast."],
  thinking: "Personalising…", answering: "Waiting for the language model…", comparing: "Asking the same model without her record…", done: "Done.",
  answer: "Personalised answer", answerHint: "The language model was given the refined prompt below. Marked words stand in a fact of it.",
  restates: "No language model is configured: answers restate the record’s facts.", restatedHint: "No language model was asked: these are facts of the refined prompt below. Marked words stand in a fact.", restatedPlainHint: "The same question, with the safety rules and nothing of her record.",
  reply: "What the clinician wrote", replyHint: "To this very question, {ago}. Each sentence beside the fact that it most likely rests on, as the record is now, and the prompts that carried this fact.", heldOut: "No reply to this patient was trained on.", trainedOn: "Replies to this patient were trained on.", factBehind: "fact behind it", suitsAnybody: "no fact, or none that is clear",
  prompts: { refined: "refined prompt", initial: "initial prompt", nearest: "nearest facts", none: "pinned facts" }, replySum: "Facts behind the reply: {facts}. Carried by the refined prompt: {refined}; by the initial prompt, which holds every fact: {initial}; by as many facts as the refined prompt has, chosen by nearness to the question (MiniLM): {nearest}; by the pinned facts alone: {none}.",
  answeredBefore: "A clinician has answered:",
  plain: "Un-personalised answer", plainHint: "The same model and question, with the safety rules and nothing of her record.",
  withheld: "Withheld: it did not pass the safety check", allergy: "it names a drug she is allergic to", plays_down: "it plays down a warning sign", foreign_language: "a part is in a language that the check cannot read", drug_in_pregnancy: "it suggests a drug not for pregnancy", drug_while_breastfeeding: "it suggests a drug not for breastfeeding", unlisted_dose: "it gives a dose of a drug not on her list", plays_down_value: "it plays down a critical value of her record",
  degraded: "Her record’s features cannot be read at the moment: this answer knows her allergies and her pregnancy, and nothing else of her.",
  impersonal: "Nothing is known of her yet: this answer holds what holds for anyone.",
  emergency: "Possible emergency", urgent: "Needs a clinician today", flagSource: "rule from",
  prompt: "The prompt, sentence by sentence", promptHint: "Choose a sentence to see the entries of her record behind it.",
  kinds: { pinned: "pinned: always there", self: "herself", peer: "patients like her", style: "style", frame: "frame" },
  sourcesTitle: "Where this sentence comes from", noSentence: "No sentence is chosen yet.", what: "what", value: "value", when: "when", week: "week {n}",
  summaries: { rules: "A fixed safety rule, reviewed by people, not from her record.", peers: "An aggregate of patients like her; no single patient is behind it.", visits: "Counted from her visits.", model: "A forecast of the clinic's trajectory model.", record: "Read from her whole record, as it is or as it lacks something:" },
  decisions: "What the refiner decided", decisionsHint: "Of the candidates her record supports, the refiner keeps a few. The probability is the policy's own: of a kept sentence when it was chosen, of another the highest it ever had.",
  ruled: "This release chooses by a fixed ranking, which has no probabilities.", sentence: "sentence", kind: "kind", rank: "initial rank", fate: "refined prompt", probability: "policy's probability", effect: "effect on the reward", likeReplies: "like replies", left: "left out", place: "choice",
  likeRepliesHint: "Like replies: of how many other patients of whom this was known when they asked a like question the clinician's reply took it up, estimated and rounded to 5 %, with their number; – for fewer than ten.",
  rankedByNearness: "This release has too few replies to learn from: the initial rank is nearness to the question and what guidance names.", requiredFact: "by guidance", required: "Stays in the prompt for such a question, whatever replies teach: {source}.", takenUp: "In replies to like questions, {share} of {n} patients’ clinicians took this up.",
  dropped: "Left out", others: "All others left out", kept: "Kept", stopped: "probability of ending there", styleChosen: "style",
  measure: "Measure what each choice changes", measuring: "Measuring under the embedded scorer…",
  measureHint: "The reward is the likelihood of a clinician's reply less a price for length. No clinician has replied yet, so this measures, when you ask for it, a stand-in: the reply in “What you would have answered” if you wrote one, else the answer shown.",
  measuredOwn: "Measured against your own reply", measuredShown: "Measured against the answer shown (no clinician's reply)", measuredNote: "nats per token with the sentence less without it, after its price. Positive: the sentence earns its place.",
  wholes: "The reply's log-probability per token: refined prompt {refined}, every candidate {initial}, pinned facts only {pinned_only}", unmeasured: "Left-out sentences not measured: ",
  trajectory: "Her trajectory", noTrajectory: "No measured signal in the last two years.", daysAgo: "days ago", weeksAgo: "weeks ago", monthsAgo: "months ago", now: "now", ownBand: "her own band (mean ± 2 sd)",
  rise: "rose", fall: "fell", steady: "steady", over: "over {days} days", outsideBand: "outside her own band (score {z}, limit 3.3)", insideBand: "within her own band (score {z}, limit 3.3)", tooFew: "One value: no change can be told.", valuesTable: "Values",
  peers: "Patients like her", peersHint: "Estimates from the {n} or a few more women most like her, drawn toward the mean of all in her cohort and rounded; at least {k} behind every number, never one of them.", peersUnstated: "Not stated, because women most like her predict it no better than the mean of all in her cohort, or too few were followed to know: {outcomes}.", noPeers: "Fewer than {k} women are alike: nothing is said of them.",
  beliefs: "What is believed of her", beliefNames: { pregnancy: "Pregnancy", dating: "Dated by", allergies: "Allergies", conditions: "Conditions", medicines: "Medicines", signals: "Latest values", suspected: "Suspected", not_current: "Not current", unmapped: "Codes not known here" },
  wrong: "This is wrong", correct: "What would be right (optional)", dispute: "Say so", cancel: "Cancel", disputed: "Recorded. From the next night on no prompt states it, until a new record does.", disputedStays: "Recorded. An allergy stays until the record itself is corrected.",
  versions: "What made this answer",
  feedback: "Was this answer right for her?", up: "Yes", down: "No", comment: "Comment", preferred: "What you would have answered", send: "Send", by: "I am", clinician: "her clinician", herself: "the patient", sent: "Thank you. It counts as a reward in the next night's training.", sentBeyond: "Thank you. It is kept; one person's word counts for a few answers to a patient a day only.", rateFirst: "Choose yes or no, write a comment, or write your own answer.",
  draft: "Draft for the clinician", draftHint: "Sentences that this clinic has often written to patients with these facts, with this record's own numbers. No language model wrote them, and none is sent before you do.",
  draftSentence: "Sentence of the draft", draftGeneral: "Written to anybody who asks this.", draftDonors: "Received by {n} patients.", draftReject: "leave out", draftSend: "Record what I send",
  expired: "The token is not accepted, or no longer. Sign in again.", unreachable: "The endpoint does not answer.", retry: "Try again in {n} seconds.",
};
const ZH = {
  skip: "跳到提问", subtitle: "为什么是这个回答、给这位患者", language: "语言", signOut: "退出",
  noDevice: "不是医疗器械。", synthetic: "示例诊所为合成数据。", embedded: "内置语言模型不具备医学回答能力。",
  signIn: "登录", signInHint: "粘贴访问令牌。“pmlm up”会打印可直接登录的链接；“pmlm token”可生成新的令牌。", token: "访问令牌",
  patient: "患者", reference: "或您病历中的患者编号", cut: "仅列出最近有新记录的患者。", question: "患者自己的提问", ask: "提问",
  news: "最近记录", years: "岁",
  examples: ["这么累正常吗？", "头痛可以吃布洛芬吗？", "宝宝从早餐后就没有动过。"],
  thinking: "正在个性化…", answering: "等待语言模型…", comparing: "不带病历询问同一模型…", done: "完成。",
  answer: "个性化回答", answerHint: "语言模型收到的是下方精炼后的提示。标出的词来自其中的事实。",
  restates: "未配置语言模型：回答只复述病历中的事实。", restatedHint: "未询问任何语言模型：以下是下方精炼提示中的事实。标出的词来自其中的事实。", restatedPlainHint: "同一问题，只有安全规则，没有任何病历内容。",
  reply: "医生的回复", replyHint: "医生{ago}对同一问题的回复。每句旁是它最可能依据的事实（按目前的病历），以及包含该事实的提示。", heldOut: "对这位患者的回复从未用于训练。", trainedOn: "对这位患者的回复曾用于训练。", factBehind: "所依据的事实", suitsAnybody: "无，或不明确",
  prompts: { refined: "精炼提示", initial: "初始提示", nearest: "最接近的事实", none: "固定事实" }, replySum: "回复依据的{facts}项事实中：精炼提示包含{refined}项，初始提示（含全部事实）{initial}项，按与问题的接近程度（MiniLM）选取同样数量的事实{nearest}项，仅固定事实{none}项。",
  answeredBefore: "医生回答过：",
  plain: "未个性化回答", plainHint: "同一模型、同一问题，只有安全规则，没有任何病历内容。",
  withheld: "已扣留：未通过安全检查", allergy: "提到了她过敏的药物", plays_down: "淡化了危险信号", foreign_language: "部分内容使用了检查无法读取的语言", drug_in_pregnancy: "建议了妊娠期不宜使用的药物", drug_while_breastfeeding: "建议了哺乳期不宜使用的药物", unlisted_dose: "给出了不在其用药清单上的药物剂量", plays_down_value: "淡化了病历中的危急值",
  degraded: "目前无法读取她的病历特征：这个回答只依据她的过敏史和妊娠情况，没有其他个人信息。",
  impersonal: "目前对她还一无所知：这个回答只包含适用于任何人的内容。",
  emergency: "可能是急症", urgent: "今天需要医生评估", flagSource: "规则来源",
  prompt: "逐句查看提示", promptHint: "选择一句，查看其背后的病历记录。",
  kinds: { pinned: "固定：始终保留", self: "她本人", peer: "与她相似的患者", style: "风格", frame: "框架" },
  sourcesTitle: "这句话的来源", noSentence: "尚未选择句子。", what: "内容", value: "数值", when: "时间", week: "孕{n}周",
  summaries: { rules: "经人工审阅的固定安全规则，并非来自病历。", peers: "相似患者的汇总，不指向任何一位患者。", visits: "由她的就诊次数统计。", model: "由本诊所的病程模型预测。", record: "由整份病历得出（有或无）：" },
  decisions: "精炼器的取舍", decisionsHint: "精炼器从病历支持的候选句中保留少数几句。概率来自策略本身：保留句为被选中时的概率，其余为曾达到的最高概率。",
  ruled: "本版本按固定排序选择，没有概率。", sentence: "句子", kind: "类别", rank: "初始名次", fate: "精炼提示", probability: "策略概率", effect: "对奖励的影响", likeReplies: "类似回复", left: "未采用", place: "第",
  likeRepliesHint: "类似回复：在提出类似问题且已知该情况的其他患者中，医生回复采用该情况的比例（估计值，按 5 % 取整），括号内为患者人数；不足十人时显示 –。",
  rankedByNearness: "本版本可供学习的回复太少：初始名次按与问题的相近程度和临床指南所列的要点排列。", requiredFact: "按指南", required: "对此类问题始终保留在提示中，与以往回复无关：{source}。", takenUp: "在类似问题的回复中，{n} 位患者里有 {share} 的医生采用了这一点。",
  dropped: "未采用", others: "其余未采用", kept: "保留", stopped: "在此结束的概率", styleChosen: "风格",
  measure: "测量每个选择的影响", measuring: "正在用内置评分模型测量…",
  measureHint: "奖励是医生回复的似然减去长度代价。目前还没有医生回复，因此按需测量的是替代值：若您在“您会如何回答”中写了回复则用它，否则用上面显示的回答。",
  measuredOwn: "以您自己的回复测量", measuredShown: "以显示的回答测量（并非医生回复）", measuredNote: "每个词元的 nat 值：有该句减去无该句，并扣除其代价。为正表示该句值得保留。",
  wholes: "回复的每词元对数概率：精炼提示 {refined}，全部候选 {initial}，仅固定事实 {pinned_only}", unmeasured: "未测量的未采用句：",
  trajectory: "她的变化轨迹", noTrajectory: "近两年没有测量值。", daysAgo: "天前", weeksAgo: "周前", monthsAgo: "个月前", now: "现在", ownBand: "她自己的范围（均值 ± 2 标准差）",
  rise: "上升", fall: "下降", steady: "平稳", over: "{days} 天内", outsideBand: "超出她自己的范围（得分 {z}，界值 3.3）", insideBand: "在她自己的范围内（得分 {z}，界值 3.3）", tooFew: "只有一个值，无法判断变化。", valuesTable: "数值",
  peers: "与她相似的患者", peersHint: "根据与她最相似的 {n} 位或略多女性估计，向同组全体的均值收缩并取整；每个数字背后至少 {k} 人，绝不指向个人。", peersUnstated: "以下不作说明，因为相似女性的预测并不优于同组全体的均值，或随访人数过少：{outcomes}。", noPeers: "相似者不足 {k} 人，因此不作任何说明。",
  beliefs: "系统认为的情况", beliefNames: { pregnancy: "妊娠", dating: "孕周依据", allergies: "过敏", conditions: "病情", medicines: "用药", signals: "最新数值", suspected: "疑似", not_current: "非当前", unmapped: "未识别的代码" },
  wrong: "这不对", correct: "正确的内容（可不填）", dispute: "提交", cancel: "取消", disputed: "已记录。从下一夜起提示不再陈述此项，直到有新的记录。", disputedStays: "已记录。过敏史在病历本身更正之前保留。",
  versions: "这个回答由什么产生",
  feedback: "这个回答适合她吗？", up: "适合", down: "不适合", comment: "意见", preferred: "您会如何回答", send: "提交", by: "我是", clinician: "她的医生", herself: "患者本人", sent: "谢谢。它将作为奖励用于下一夜的训练。", sentBeyond: "谢谢，已保存；每人每天对同一患者只有少数几个回答的意见计入训练。", rateFirst: "请选择适合或不适合，填写意见，或写下您的回答。",
  draft: "供医生使用的回复草稿", draftHint: "本诊所常写给有相同情况患者的句子，数字取自本病历。并非由语言模型撰写，您发送之前不会发出。",
  draftSentence: "草稿句子", draftGeneral: "写给任何提出此问题的人。", draftDonors: "已有{n}位患者收到。", draftReject: "不采用", draftSend: "记录我发送的内容",
  expired: "令牌无效或已过期，请重新登录。", unreachable: "服务没有响应。", retry: "请在 {n} 秒后重试。",
};

const LANGUAGES = { en: EN, zh: ZH };
let current = "en";

export const language = () => current;
export const word = (key) => LANGUAGES[current][key];
export const phrase = (key, values) => word(key).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

/** Say every fixed text of the page in `chosen`. */
export function speak(chosen) {
  current = chosen in LANGUAGES ? chosen : "en";
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
}
